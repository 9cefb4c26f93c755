#include "session.hpp"

#include <algorithm>

#include "error.hpp"

namespace explained {
namespace {

Ort::SessionOptions session_options(int threads, bool cuda) {
    Ort::SessionOptions result;
    result.SetIntraOpNumThreads(threads);
    if (!cuda) return result;
    const auto available = Ort::GetAvailableProviders();
    if (std::find(available.begin(), available.end(), "CUDAExecutionProvider") == available.end()) {
        throw Error("this ONNX Runtime has no CUDA provider; link with a GPU release of it, or leave --cuda out");
    }
    try {
        result.AppendExecutionProvider_CUDA(OrtCUDAProviderOptions{});
    } catch (const Ort::Exception& error) {
        throw Error("CUDA cannot be used: " + one_line(error.what()) + "; check the driver, or leave --cuda out");
    }
    return result;
}

Port port(const Ort::TypeInfo& info) {
    if (info.GetONNXType() != ONNX_TYPE_TENSOR) return {};
    const auto tensor = info.GetTensorTypeAndShapeInfo();
    return {tensor.GetElementType(), tensor.GetShape()};
}

}  // namespace

Ort::Session load(const Ort::Env& env, const std::filesystem::path& path, int threads, bool cuda) {
    const Ort::SessionOptions options = session_options(threads, cuda);
    if (!std::filesystem::is_regular_file(path)) throw Error(path.string() + ": no such file; check the path");
    try {
        return Ort::Session(env, path.c_str(), options);
    } catch (const Ort::Exception& error) {
        throw Error(path.string() + ": ONNX Runtime cannot load it: " + one_line(error.what()));
    }
}

std::optional<std::string> metadata(const Ort::Session& session, const char* key) {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto text = session.GetModelMetadata().LookupCustomMetadataMapAllocated(key, allocator);
    return text ? std::optional<std::string>(text.get()) : std::nullopt;
}

std::map<std::string, Port> inputs_of(const Ort::Session& session) {
    Ort::AllocatorWithDefaultOptions allocator;
    std::map<std::string, Port> result;
    for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
        result[session.GetInputNameAllocated(i, allocator).get()] = port(session.GetInputTypeInfo(i));
    }
    return result;
}

std::map<std::string, Port> outputs_of(const Ort::Session& session) {
    Ort::AllocatorWithDefaultOptions allocator;
    std::map<std::string, Port> result;
    for (std::size_t i = 0; i < session.GetOutputCount(); ++i) {
        result[session.GetOutputNameAllocated(i, allocator).get()] = port(session.GetOutputTypeInfo(i));
    }
    return result;
}

std::string one_line(const std::string& text) {
    std::string result;
    for (const char c : text.substr(0, 400)) {
        const bool is_space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
        if (!is_space) result += c;
        else if (!result.empty() && result.back() != ' ') result += ' ';
    }
    return result;
}

}  // namespace explained
