#include "explained_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "error.hpp"
#include "model_input.hpp"

namespace explained {
namespace {

/// ONNX Runtime's messages have several lines, and the graph's place in them.
std::string one_line(const std::string& text) {
    std::string result;
    for (const char c : text.substr(0, 400)) {
        const bool is_space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
        if (!is_space) result += c;
        else if (!result.empty() && result.back() != ' ') result += ' ';
    }
    return result;
}

Ort::SessionOptions session_options(const ExplainedModel::Options& options) {
    Ort::SessionOptions result;
    result.SetIntraOpNumThreads(options.threads);
    if (!options.cuda) return result;
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

std::string metadata(const Ort::Session& session) {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto text = session.GetModelMetadata().LookupCustomMetadataMapAllocated("onnxplain", allocator);
    if (!text) throw Error("is not an explained model; make one with: onnxplain rewrite");
    return text.get();
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

std::vector<float> floats(const Ort::Value& value) {
    const auto info = value.GetTensorTypeAndShapeInfo();
    const auto count = static_cast<std::ptrdiff_t>(info.GetElementCount());
    std::vector<float> result;
    if (info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
        result.assign(value.GetTensorData<float>(), value.GetTensorData<float>() + count);
    } else if (info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) {
        const auto* halves = value.GetTensorData<Ort::Float16_t>();
        std::transform(halves, halves + count, std::back_inserter(result),
                       [](Ort::Float16_t half) { return half.ToFloat(); });
    }
    return result;
}

}  // namespace

ExplainedModel::ExplainedModel(const std::filesystem::path& path, const Options& options)
    : env_(ORT_LOGGING_LEVEL_FATAL, "explain") {  // what goes wrong is thrown, and would only be said twice
    const Ort::SessionOptions session = session_options(options);
    const std::string file = path.string() + ": ";
    if (!std::filesystem::is_regular_file(path)) throw Error(file + "no such file; check the path");
    try {
        session_ = Ort::Session(env_, path.c_str(), session);
    } catch (const Ort::Exception& error) {
        throw Error(file + "ONNX Runtime cannot load it: " + one_line(error.what()));
    }
    try {
        contract_ = Contract::parse(metadata(session_));
        check_inputs();
        check_outputs();
    } catch (const Error& error) {
        throw Error(file + error.what());
    }
}

void ExplainedModel::check_inputs() {
    auto inputs = inputs_of(session_);
    target_ = contract_.name("target");
    if (!contract_.layout)
        throw Error("takes no images, as its input is neither NCHW nor NHWC; run it on tensors instead");
    const auto image = inputs.find(contract_.image), target = inputs.find(target_);
    if (image == inputs.end() || target == inputs.end() || target->second.shape.size() != 2) {
        throw Error("its inputs are not those of its record; write it anew with: onnxplain rewrite");
    }
    if (!contract_.preprocess) {
        throw Error("records no preprocessing; write it anew with: onnxplain rewrite --preprocess ...");
    }
    input_type_ = image->second.type;
    preprocess_ = fit_to_input(*contract_.preprocess, image->second, *contract_.layout);
    if (image->second.shape[0] > 1) {
        throw Error("takes " + std::to_string(image->second.shape[0]) +
                    " images at a time; export it with an open batch size, or one of 1");
    }
    targets_a_run_ = static_cast<std::size_t>(std::max<std::int64_t>(target->second.shape[1], 0));
    inputs.erase(image);
    inputs.erase(target_);
    if (!inputs.empty()) {
        throw Error("has a further input '" + inputs.begin()->first +
                    "', which an image does not fill; feed it in ExplainedModel::run");
    }
}

void ExplainedModel::check_outputs() {
    const auto outputs = outputs_of(session_);
    const auto require = [&](const std::string& logical, const std::string& name, std::size_t rank) {
        const auto found = outputs.find(name);
        if (found == outputs.end() || found->second.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ||
            found->second.shape.size() != rank) {
            throw Error("lacks the output '" + logical + "'; write it anew with: onnxplain rewrite");
        }
        outputs_.push_back(name);
    };
    require("score", contract_.name("score"), 2);
    for (std::size_t layer = 0; layer < contract_.map_count(); ++layer) require("heatmap", contract_.heatmap(layer), 4);
    const auto ranking = outputs.find(contract_.ranking);
    if (ranking == outputs.end()) return;
    outputs_.push_back(contract_.ranking);
    const auto& shape = ranking->second.shape;
    if (shape.size() > 1 && shape[1] > 0) class_count_ = shape[1];
    const auto labels = static_cast<std::int64_t>(contract_.labels.size());
    if (labels > 0 && class_count_.value_or(labels) != labels) {
        throw Error("records " + std::to_string(labels) + " labels for " + std::to_string(*class_count_) +
                    " classes; write it anew with --labels of one name a class");
    }
}

std::vector<Ort::Value> ExplainedModel::run(Workspace& workspace, Size size, std::vector<std::int64_t> targets) const {
    const std::int64_t channels = preprocess_.channel_count();
    const std::int64_t nchw[] = {1, channels, size.height, size.width}, nhwc[] = {1, size.height, size.width, channels};
    const std::int64_t width[] = {1, static_cast<std::int64_t>(targets.size())};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const Ort::Value values[] = {
        Ort::Value::CreateTensor(memory, workspace.input.data(), workspace.input.size(),
                                 preprocess_.layout == Layout::nchw ? nchw : nhwc, 4, input_type_),
        Ort::Value::CreateTensor(memory, targets.data(), targets.size(), width, 2),
    };
    const char* inputs[] = {contract_.image.c_str(), target_.c_str()};
    std::vector<const char*> outputs;
    for (const auto& name : outputs_) outputs.push_back(name.c_str());
    try {
        return session_.Run(Ort::RunOptions{nullptr}, inputs, values, 2, outputs.data(), outputs.size());
    } catch (const Ort::Exception& error) {
        throw Error("ONNX Runtime cannot run the model on it: " + one_line(error.what()));
    }
}

std::vector<Explanation> ExplainedModel::explain(const Image& image, const std::vector<std::int64_t>& targets,
                                                 Workspace& workspace) const {
    const Size size = preprocess_.apply(image, workspace);
    const std::size_t width = targets_a_run_ ? targets_a_run_ : targets.size();
    std::vector<Explanation> explanations;
    for (std::size_t first = 0; first < targets.size(); first += width) {
        std::vector<std::int64_t> some;
        for (std::size_t i = 0; i < width; ++i) some.push_back(targets[std::min(first + i, targets.size() - 1)]);
        const auto results = run(workspace, size, some);
        const bool is_ranked = results.size() > 1 + contract_.map_count();
        for (std::size_t k = 0; k < std::min(width, targets.size() - first); ++k) {
            for (std::size_t layer = 0; layer < contract_.map_count(); ++layer) {
                Explanation one;
                one.target = some[k];
                one.class_index = class_index(one.target, is_ranked ? &results.back() : nullptr);
                one.layer = layer;
                one.score = results[0].GetTensorData<float>()[k];
                if (one.class_index && static_cast<std::size_t>(*one.class_index) < contract_.labels.size()) {
                    one.label = contract_.labels[static_cast<std::size_t>(*one.class_index)];
                }
                const auto area = static_cast<std::ptrdiff_t>(size.height) * size.width;
                const float* heatmap =
                    results[1 + layer].GetTensorData<float>() + static_cast<std::ptrdiff_t>(k) * area;
                if (!std::all_of(heatmap, heatmap + area, [](float value) { return std::isfinite(value); })) {
                    throw Error("the map of target " + std::to_string(one.target) +
                                " is not finite; the model overflows on it");
                }
                one.heatmap = preprocess_.to_source(heatmap, {image.height, image.width});
                explanations.push_back(std::move(one));
            }
        }
    }
    return explanations;
}

std::optional<std::int64_t> ExplainedModel::class_index(std::int64_t target, const Ort::Value* ranking) const {
    if (target >= 0) return target;
    const std::vector<float> scores = ranking ? floats(*ranking) : std::vector<float>{};
    const auto place = static_cast<std::size_t>(-target - 1);
    if (place >= scores.size()) return std::nullopt;
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    return static_cast<std::int64_t>(order[place]);
}

}  // namespace explained
