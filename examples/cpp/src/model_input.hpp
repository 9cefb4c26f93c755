// Fits preprocessing to what a model's input takes.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <vector>

#include "preprocess.hpp"

namespace explained {

/// An input or output of a model.
struct Port {
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::vector<std::int64_t> shape;  ///< -1 for sides that are open
};

/// Type and shape as the model states them; neither for what is no tensor.
Port port(const Ort::TypeInfo& info);

/// Completes recorded preprocessing with the input's own size, layout and type. Throws Error where they contradict each
/// other, and for an input that is no image.
Preprocess fit_to_input(Preprocess how, const Port& input, Layout layout);

}  // namespace explained
