// ONNX Runtime sessions: loaded with errors of one line, and asked what they take and give.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace explained {

/// Loads a model. `threads` is what one run may use, 0 for all cores. Throws Error for a file that is missing or no
/// model, and where CUDA is asked for and cannot be had.
Ort::Session load(const Ort::Env& env, const std::filesystem::path& path, int threads, bool cuda);

/// An entry of the model's metadata; empty where there is none.
std::optional<std::string> metadata(const Ort::Session& session, const char* key);

/// An input or output of a model.
struct Port {
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::vector<std::int64_t> shape;  ///< -1 for sides that are open
};

std::map<std::string, Port> inputs_of(const Ort::Session& session);
std::map<std::string, Port> outputs_of(const Ort::Session& session);

/// ONNX Runtime's messages have several lines.
std::string one_line(const std::string& text);

}  // namespace explained
