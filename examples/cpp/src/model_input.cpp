#include "model_input.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "error.hpp"

namespace explained {
namespace {

constexpr std::pair<Dtype, ONNXTensorElementDataType> dtypes[] = {
    {Dtype::float32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {Dtype::float16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {Dtype::float64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
    {Dtype::uint8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
};

}  // namespace

Preprocess fit_to_input(Preprocess how, const Port& input, Layout layout) {
    const auto type = std::find_if(std::begin(dtypes), std::end(dtypes),
                                   [&](const auto& known) { return known.second == input.type; });
    if (input.shape.size() != 4 || type == std::end(dtypes)) throw Error("its input is no image of four axes");
    how.layout = layout;
    how.dtype = type->first;
    const auto channels = input.shape[layout == Layout::nchw ? 1 : 3];
    const auto height = input.shape[layout == Layout::nchw ? 2 : 1],
               width = input.shape[layout == Layout::nchw ? 3 : 2];
    if (channels >= 0 && channels != how.channel_count()) {
        throw Error("its input has " + std::to_string(channels) + " channels, its preprocessing " +
                    std::to_string(how.channel_count()) + "; write it anew with another --preprocess");
    }
    if (height > 0 && width > 0) {
        if (how.size && (how.size->height != height || how.size->width != width)) {
            throw Error("its input is " + std::to_string(height) + "x" + std::to_string(width) +
                        ", its preprocessing of another size; write it anew with another --preprocess");
        }
        how.size = Size{static_cast<int>(height), static_cast<int>(width)};
    }
    const auto are = [](const std::vector<double>& values, double wanted) {
        return std::all_of(values.begin(), values.end(), [wanted](double value) { return value == wanted; });
    };
    if (how.dtype == Dtype::uint8 && !(how.scale == 1 && are(how.mean, 0) && are(how.std, 1))) {
        throw Error(
            "its input takes uint8 pixels, its preprocessing scales them; write it anew with --preprocess uint8");
    }
    return how;
}

}  // namespace explained
