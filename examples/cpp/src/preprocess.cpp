#include "preprocess.hpp"

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "error.hpp"
#include "resize.hpp"

namespace explained {
namespace {

/// The whole image after resizing, and the window that is cut out of it.
struct Geometry {
    int rows, columns;
    int top, left;
    int height, width;
};

int rounded(double value) { return static_cast<int>(std::nearbyint(value)); }  // halves to even, as Python's round

Geometry geometry(const Preprocess& how, Size source) {
    const auto [h, w] = how.size.value_or(source);
    if (how.fit == Fit::squash) return {h, w, 0, 0, h, w};
    double rows = 0, columns = 0;
    if (how.resize) {  // rounded as by torchvision's Resize, and below as by its CenterCrop
        const double shorter = std::min(source.height, source.width), side = *how.resize;
        rows = std::floor(side * source.height / shorter);
        columns = std::floor(side * source.width / shorter);
    } else {
        rows = std::max<double>(h, std::nearbyint(static_cast<double>(source.height) * w / source.width));
        columns = std::max<double>(w, std::nearbyint(static_cast<double>(source.width) * h / source.height));
    }
    if (rows * columns > 1e8) {  // as the Python engine: a strip, enlarged to such a shorter side, would take gigabytes
        throw Error("an image of " + std::to_string(source.width) + " x " + std::to_string(source.height) +
                    " pixels is too elongated to be cropped; cut it first");
    }
    return {
        static_cast<int>(rows), static_cast<int>(columns), rounded((rows - h) / 2), rounded((columns - w) / 2), h, w};
}

float between(const Between& place, float low, float high) { return low + (high - low) * place.share; }

/// Cuts the window out of the shrunk image, enlarged to all rows and columns.
void enlarge_window(const Image& image, const Geometry& all, std::vector<std::uint8_t>& pixels) {
    const auto down = linear_positions(image.height, all.rows), across = linear_positions(image.width, all.columns);
    pixels.resize(3 * static_cast<std::size_t>(all.height) * static_cast<std::size_t>(all.width));
    auto* pixel = pixels.data();
    for (int y = all.top; y < all.top + all.height; ++y) {
        const Between& v = down[static_cast<std::size_t>(y)];
        const std::uint8_t *above = image.row(v.low), *below = image.row(v.high);
        for (int x = all.left; x < all.left + all.width; ++x) {
            const Between& h = across[static_cast<std::size_t>(x)];
            for (int c = 0; c < 3; ++c) {
                const float upper = between(h, above[3 * h.low + c], above[3 * h.high + c]);
                const float lower = between(h, below[3 * h.low + c], below[3 * h.high + c]);
                *pixel++ = static_cast<std::uint8_t>(std::lrint(between(v, upper, lower)));
            }
        }
    }
}

/// One channel of an RGB pixel, in the model's order.
std::uint8_t channel(const std::uint8_t* rgb, Channels channels, int index) {
    switch (channels) {
        case Channels::rgb: return rgb[index];
        case Channels::bgr: return rgb[2 - index];
        // Luma of ITU-R BT.601 in 15 bits, as OpenCV's cvtColor rounds it.
        case Channels::gray:
            return static_cast<std::uint8_t>((9798 * rgb[0] + 19235 * rgb[1] + 3735 * rgb[2] + 16384) >> 15);
    }
    return 0;
}

/// Writes (pixel * scale - mean) / std, worked out as `Work`, in the model's order.
template <class Value, class Work>
void normalise(const Preprocess& how, const Geometry& all, Workspace& workspace) {
    const int count = how.channel_count();
    const auto area = static_cast<std::size_t>(all.height) * static_cast<std::size_t>(all.width);
    workspace.input.resize(area * static_cast<std::size_t>(count) * sizeof(Value));
    auto* values = reinterpret_cast<Value*>(workspace.input.data());
    for (int c = 0; c < count; ++c) {
        const auto of_channel = [c](const std::vector<double>& numbers) {
            return static_cast<Work>(numbers[numbers.size() == 1 ? 0 : static_cast<std::size_t>(c)]);
        };
        std::array<Value, 256> table;  // a pixel has no more values than these
        for (int pixel = 0; pixel < 256; ++pixel) {
            const Work scaled = static_cast<Work>(pixel) * static_cast<Work>(how.scale);
            table[static_cast<std::size_t>(pixel)] = Value((scaled - of_channel(how.mean)) / of_channel(how.std));
        }
        const std::size_t step = how.layout == Layout::nchw ? 1 : static_cast<std::size_t>(count);
        Value* value =
            values + (how.layout == Layout::nchw ? area * static_cast<std::size_t>(c) : static_cast<std::size_t>(c));
        for (std::size_t i = 0; i < area; ++i, value += step) {
            *value = table[channel(workspace.pixels.data() + 3 * i, how.channels, c)];
        }
    }
}

}  // namespace

Size Preprocess::apply(const Image& image, Workspace& workspace) const {
    const Geometry all = geometry(*this, {image.height, image.width});
    shrink(image, std::min(all.rows, image.height), std::min(all.columns, image.width), workspace.shrunk);
    enlarge_window(workspace.shrunk, all, workspace.pixels);
    switch (dtype) {
        case Dtype::float32: normalise<float, float>(*this, all, workspace); break;
        case Dtype::float16: normalise<Ort::Float16_t, float>(*this, all, workspace); break;
        case Dtype::float64: normalise<double, double>(*this, all, workspace); break;
        case Dtype::uint8: normalise<std::uint8_t, float>(*this, all, workspace); break;
    }
    return {all.height, all.width};
}

Map Preprocess::to_source(const float* heatmap, Size source) const {
    const Geometry all = geometry(*this, source);
    const auto down = linear_positions(all.rows, source.height), across = linear_positions(all.columns, source.width);
    // In integers: whether the centre of a source pixel, after resizing, lies in start..start + length.
    const auto inside = [](int index, int side, int resized, int start, int length) {
        const auto centre = (2 * std::int64_t{index} + 1) * resized;
        return centre >= 2 * std::int64_t{start} * side && centre < 2 * (std::int64_t{start} + length) * side;
    };
    // Beyond the crop its border is repeated, lest the values just inside be mixed with zeros.
    const auto value = [&](int y, int x) {
        const int row = std::clamp(y - all.top, 0, all.height - 1), column = std::clamp(x - all.left, 0, all.width - 1);
        return heatmap[static_cast<std::ptrdiff_t>(row) * all.width + column];
    };
    Map map{source.height, source.width, {}};
    map.values.reserve(static_cast<std::size_t>(source.height) * static_cast<std::size_t>(source.width));
    for (int y = 0; y < source.height; ++y) {
        const Between& v = down[static_cast<std::size_t>(y)];
        const bool row_inside = inside(y, source.height, all.rows, all.top, all.height);
        for (int x = 0; x < source.width; ++x) {
            const Between& h = across[static_cast<std::size_t>(x)];
            const float upper = between(h, value(v.low, h.low), value(v.low, h.high));
            const float lower = between(h, value(v.high, h.low), value(v.high, h.high));
            const bool is_inside = row_inside && inside(x, source.width, all.columns, all.left, all.width);
            map.values.push_back(is_inside ? between(v, upper, lower) : 0.0F);
        }
    }
    return map;
}

}  // namespace explained
