// The preprocessing as the model's record states it.
#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "error.hpp"
#include "preprocess.hpp"

namespace explained {
namespace {

void check(bool right, const std::string& problem) {
    if (!right) throw Error("preprocessing: " + problem);
}

template <class Choice>
Choice choice(const Json& record, const char* key, std::initializer_list<std::pair<const char*, Choice>> known) {
    const std::string& given = record.at(key).string();
    for (const auto& [name, value] : known) {
        if (given == name) return value;
    }
    throw Error("preprocessing: " + std::string(key) + " '" + given + "' is not known to this program");
}

}  // namespace

Preprocess Preprocess::from_json(const Json& record) {
    for (const auto& [key, value] : record.object()) {
        const auto known = {"size", "fit", "resize", "channels", "layout", "dtype", "scale", "mean", "std"};
        check(std::find(known.begin(), known.end(), key) != known.end(), "'" + key + "' is not known to this program");
    }
    Preprocess result;
    if (const Json& size = record.at("size"); !size.is_null()) {
        check(size.array().size() == 2, "size is not [height, width]");
        result.size = {size.array()[0].integer(), size.array()[1].integer()};
        check(result.size->height > 0 && result.size->width > 0, "size is not positive");
    }
    result.fit = choice<Fit>(record, "fit", {{"squash", Fit::squash}, {"crop", Fit::crop}});
    if (const Json& resize = record.at("resize"); !resize.is_null()) result.resize = resize.integer();
    result.channels = choice<Channels>(record, "channels",
                                       {{"RGB", Channels::rgb}, {"BGR", Channels::bgr}, {"GRAY", Channels::gray}});
    result.layout = choice<Layout>(record, "layout", {{"NCHW", Layout::nchw}, {"NHWC", Layout::nhwc}});
    result.dtype = choice<Dtype>(record, "dtype",
                                 {{"float32", Dtype::float32},
                                  {"float16", Dtype::float16},
                                  {"float64", Dtype::float64},
                                  {"uint8", Dtype::uint8}});
    result.scale = record.at("scale").number();
    result.mean = record.at("mean").numbers();
    result.std = record.at("std").numbers();

    check(result.size || result.fit == Fit::squash, "fit crop without a size");
    check(!result.resize || result.fit == Fit::crop, "resize without fit crop");
    check(!result.resize || *result.resize >= std::max(result.size->height, result.size->width),
          "resize is less than the size to be cut out");
    for (const auto* numbers : {&result.mean, &result.std}) {
        const auto count = static_cast<int>(numbers->size());
        check(count == 1 || count == result.channel_count(), "mean and std are not one number or one a channel");
    }
    check(result.scale != 0 && std::count(result.std.begin(), result.std.end(), 0.0) == 0, "scale or std is zero");
    return result;
}

}  // namespace explained
