// What an explained model says of itself: the JSON record in its metadata under the key `onnxplain`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "preprocess.hpp"

namespace explained {

struct Contract {
    std::string method;
    std::vector<std::string> layers;  ///< the layers explained; empty where the map is one of the input
    std::optional<Preprocess> preprocess;
    std::vector<std::string> labels;  ///< class names in class order; empty where none are recorded
    std::string image;                ///< name of the input that is explained
    std::optional<Layout> layout;     ///< of that input; empty where it is no image
    std::map<std::string, std::string, std::less<>> names;  ///< from the contract's names to the model's
    std::string ranking;  ///< name of the output that ranks the classes; empty where none does

    /// Reads the record. Throws Error for what is no record of an explained model.
    static Contract parse(std::string_view text);

    /// The model's name for an output or input of the contract; empty where the model has none.
    std::string name(std::string_view logical) const;

    /// The model's name of the heatmap of a layer, by its index.
    std::string heatmap(std::size_t layer) const;

    /// One map a layer, or the one of the input.
    std::size_t map_count() const { return layers.empty() ? 1 : layers.size(); }

    /// Whether the map tells single pixels apart, so that it would not be seen over the image.
    bool is_pixelwise() const;
};

}  // namespace explained
