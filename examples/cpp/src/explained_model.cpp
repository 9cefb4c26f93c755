#include "explained_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "error.hpp"
#include "model_input.hpp"
#include "session.hpp"

namespace explained {
namespace {

/// The values of an output. Throws Error where there are others than the contract says.
const float* floats_of(const Ort::Value& value, std::size_t count) {
    if (value.GetTensorTypeAndShapeInfo().GetElementCount() != count) {
        throw Error("an output of the model is not of the size that its record implies; write the model anew");
    }
    return value.GetTensorData<float>();
}

/// Class scores, which some models give in float16; none of other types.
std::vector<float> class_scores(const Ort::Value& value) {
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
    session_ = load(env_, path, options.threads, options.cuda);
    try {
        const auto record = metadata(session_, "onnxplain");
        if (!record) throw Error("is not an explained model; make one with: onnxplain rewrite");
        contract_ = Contract::parse(*record);
        check_inputs();
        check_outputs();
    } catch (const Error& error) {
        throw Error(path.string() + ": " + error.what());
    }
}

void ExplainedModel::check_inputs() {
    auto inputs = inputs_of(session_);
    target_ = contract_.name("target");
    if (!contract_.layout) {
        throw Error("takes no images, as its input is neither NCHW nor NHWC; run it on tensors instead");
    }
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
        std::vector<std::int64_t> some;  // where the model fixes how many, the last one fills what is left
        for (std::size_t i = 0; i < width; ++i) some.push_back(targets[std::min(first + i, targets.size() - 1)]);
        const auto results = run(workspace, size, some);
        const bool is_ranked = results.size() > 1 + contract_.map_count();
        for (std::size_t k = 0; k < std::min(width, targets.size() - first); ++k) {
            const auto index = class_index(some[k], is_ranked ? &results.back() : nullptr);
            for (std::size_t layer = 0; layer < contract_.map_count(); ++layer) {
                Explanation one;
                one.target = some[k];
                one.class_index = index;
                one.label = label(index);
                one.score = floats_of(results[0], width)[k];
                one.layer = layer;
                one.heatmap = heatmap(results[1 + layer], k, width, size, {image.height, image.width});
                explanations.push_back(std::move(one));
            }
        }
    }
    return explanations;
}

Map ExplainedModel::heatmap(const Ort::Value& maps, std::size_t index, std::size_t count, Size size,
                            Size source) const {
    const auto area = static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width);
    const float* map = floats_of(maps, count * area) + index * area;
    if (!std::all_of(map, map + area, [](float value) { return std::isfinite(value); })) {
        throw Error("its heatmap is not finite; the model overflows on it");
    }
    return preprocess_.to_source(map, source);
}

std::string ExplainedModel::label(std::optional<std::int64_t> index) const {
    const bool is_known = index && *index < static_cast<std::int64_t>(contract_.labels.size());
    return is_known ? contract_.labels[static_cast<std::size_t>(*index)] : "";
}

std::optional<std::int64_t> ExplainedModel::class_index(std::int64_t target, const Ort::Value* ranking) const {
    if (target >= 0) return target;
    const std::vector<float> scores = ranking ? class_scores(*ranking) : std::vector<float>{};
    const auto place = static_cast<std::size_t>(-target - 1);
    if (place >= scores.size()) return std::nullopt;
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    return static_cast<std::int64_t>(order[place]);
}

}  // namespace explained
