// An explained model, loaded once and run from any number of threads.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "contract.hpp"

namespace explained {

/// Why the model gives one class its score, at one layer.
struct Explanation {
    std::optional<std::int64_t> class_index;  ///< empty where a place was asked for and the model does not rank classes
    std::int64_t target = 0;                  ///< what was asked for: a class index, or -1, -2 ... for places
    std::string label;                        ///< empty where the model records none
    float score = 0;                          ///< before any softmax
    std::size_t layer = 0;                    ///< index into `Contract::layers`
    Map heatmap;                              ///< at the source image's size, in [0, 1], or [-1, 1] of a signed map
};

class ExplainedModel {
public:
    struct Options {
        int threads = 0;    ///< that one run may use; 0: all cores
        bool cuda = false;  ///< run on the first CUDA device
    };

    /// Loads a file. Throws Error where it is missing, damaged, not an explained model, or has an input that images
    /// alone do not fill.
    ExplainedModel(const std::filesystem::path& path, const Options& options);

    const Contract& contract() const { return contract_; }

    /// How many classes there are, where the model says so.
    std::optional<std::int64_t> class_count() const { return class_count_; }

    /// Explains one image: for each target one explanation a layer. Safe to call from several threads at once, each
    /// with a workspace of its own. Targets are class indices; -1 is the top class, -2 the second ...
    std::vector<Explanation> explain(const Image& image, const std::vector<std::int64_t>& targets,
                                     Workspace& workspace) const;

private:
    void check_inputs();
    void check_outputs();
    std::vector<Ort::Value> run(Workspace& workspace, Size size, std::vector<std::int64_t> targets) const;
    Map heatmap(const Ort::Value& maps, std::size_t index, std::size_t count, Size size, Size source) const;
    std::string label(std::optional<std::int64_t> index) const;
    std::optional<std::int64_t> class_index(std::int64_t target, const Ort::Value* ranking) const;

    Ort::Env env_;
    mutable Ort::Session session_{nullptr};  // Run is not const in C++, but may be called from several threads
    Contract contract_;
    Preprocess preprocess_;
    ONNXTensorElementDataType input_type_ = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::string target_;
    std::vector<std::string> outputs_;  ///< score, one heatmap a layer, and what ranks the classes where there is such
    std::size_t targets_a_run_ = 0;     ///< 0: any number
    std::optional<std::int64_t> class_count_;
};

}  // namespace explained
