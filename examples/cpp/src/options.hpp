// The command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace explained {

inline constexpr auto usage =
    "usage: explain MODEL IMAGE... [--target K|topN]... [-o FOLDER] [--npy] [--threads N] [--repeat R] [--cuda]\n"
    "\n"
    "Explains predictions with an explained model (onnxplain rewrite): one line an image and class, with the class\n"
    "index, its label, and its score before the softmax.\n"
    "\n"
    "  --target K|topN  a class index, or the N top classes; may be repeated; default: top1\n"
    "  -o FOLDER        write there each heatmap (16-bit PGM) and its overlay at the image's own size\n"
    "  --npy            with -o, write each heatmap's values too (float32 .npy)\n"
    "  --threads N      how many images are explained at a time; default: one a core\n"
    "  --repeat R       explain all images R times, print and write the first time, and tell time and memory\n"
    "  --cuda           run on the first CUDA device\n";

struct Options {
    std::filesystem::path model;
    std::vector<std::filesystem::path> images;
    std::vector<std::int64_t> targets;  ///< class indices; -1 is the top class, -2 the second ...
    std::filesystem::path folder;       ///< empty: nothing is written
    bool npy = false;
    unsigned threads = 1;
    unsigned repeat = 1;
    bool cuda = false;
    bool help = false;
};

/// Reads the arguments after the program's name. Throws UsageError.
Options parse_options(const std::vector<std::string>& arguments);

/// Throws UsageError for targets beyond the model's classes.
void check_targets(const std::vector<std::int64_t>& targets, std::int64_t class_count);

}  // namespace explained
