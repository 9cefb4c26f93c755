#include "contract.hpp"

#include "error.hpp"

namespace explained {
namespace {

std::optional<Layout> layout_of(const Json& input) {
    const Json& layout = input.at("layout");
    if (layout.is_null()) return std::nullopt;  // of inputs that are no images
    if (layout.string() == "NCHW") return Layout::nchw;
    if (layout.string() == "NHWC") return Layout::nhwc;
    throw Error("layout '" + layout.string() + "' is not known to this program");
}

Contract read(const Json& record) {
    Contract result;
    if (!record.find("method")) return result;  // what a plain model may record is its preprocessing and labels
    result.method = record.at("method").string();
    result.layers = record.at("layers").strings();
    if (const Json* preprocess = record.find("preprocessing")) result.preprocess = Preprocess::from_json(*preprocess);
    const Json& score = record.at("score");
    const bool has_own_classes = !score.find("expression");  // else the labels are not those of the score
    if (const Json* labels = record.find("labels"); labels && has_own_classes) result.labels = labels->strings();
    result.image = record.at("input").at("name").string();
    result.layout = layout_of(record.at("input"));
    for (const auto& [logical, actual] : record.at("names").object()) result.names[logical] = actual.string();
    result.ranking = result.name("logits");
    if (result.ranking.empty() && has_own_classes) result.ranking = score.at("output").string();
    return result;
}

}  // namespace

Contract Contract::parse(std::string_view text) {
    Contract result;
    try {
        result = read(Json::parse(text));
    } catch (const Error& error) {
        throw Error("its record cannot be read: " + std::string(error.what()) +
                    "; write it anew with: onnxplain rewrite");
    }
    if (result.method.empty()) throw Error("is not an explained model; make one with: onnxplain rewrite");
    return result;
}

std::string Contract::name(std::string_view logical) const {
    const auto found = names.find(logical);
    return found == names.end() ? "" : found->second;
}

std::string Contract::heatmap(std::size_t layer) const {
    return name(layers.size() > 1 ? "heatmap@" + layers[layer] : "heatmap");
}

bool Contract::is_pixelwise() const {
    const auto has = [this](const std::string& output) {
        return !name(output).empty() || (layers.size() > 1 && !name(output + "@" + layers[0]).empty());
    };
    return !has("cam") && (has("input_gradient") || layers.empty());
}

}  // namespace explained
