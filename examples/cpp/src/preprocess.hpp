// From a source image to the model's input, and for a heatmap from the model's input back to the source image.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "image.hpp"
#include "json.hpp"

namespace explained {

enum class Fit { squash, crop };
enum class Channels { rgb, bgr, gray };
enum class Layout { nchw, nhwc };
enum class Dtype { float32, float16, float64, uint8 };

struct Size {
    int height;
    int width;
};

/// Memory that a worker keeps from one image to the next.
struct Workspace {
    Image shrunk;
    std::vector<std::uint8_t> pixels;  ///< [height, width, 3], what was cut out
    std::vector<std::byte> input;      ///< [C, height, width] or [height, width, C] of the model's type
};

/// How a model wants its images: value = (pixel * scale - mean) / std, pixels in 0..255. See engine/images/preprocess.py.
struct Preprocess {
    std::optional<Size> size;   ///< of the model's input; empty: that of the source image
    Fit fit = Fit::squash;      ///< squash resizes both sides; crop resizes in proportion, then cuts out the centre
    std::optional<int> resize;  ///< with crop, the shorter side before the cut; empty: as small as covers the cut
    Channels channels = Channels::rgb;
    Layout layout = Layout::nchw;
    Dtype dtype = Dtype::float32;
    double scale = 1;
    std::vector<double> mean{0};  ///< one, or one a channel in the order of `channels`
    std::vector<double> std{1};

    /// Reads a record. Throws Error for missing or unknown members and for values without sense.
    static Preprocess from_json(const Json& record);

    int channel_count() const { return channels == Channels::gray ? 1 : 3; }

    /// Fills `workspace.input` with one sample, and returns its height and width.
    Size apply(const Image& image, Workspace& workspace) const;

    /// Maps a heatmap at the size that `apply` returned onto the source image: bilinear with half-pixel centres, and
    /// zero where a pixel's centre lies outside the crop.
    Map to_source(const float* heatmap, Size source) const;
};

}  // namespace explained
