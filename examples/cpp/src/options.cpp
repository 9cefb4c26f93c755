#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <thread>

#include "error.hpp"

namespace explained {
namespace {

constexpr unsigned max_threads = 1024, max_count = 1'000'000'000;

unsigned number(std::string_view text, const std::string& option, unsigned least, unsigned most) {
    unsigned value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc() || end != text.data() + text.size() || value < least || value > most) {
        throw UsageError(option + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) +
                         ", not '" + std::string(text) + "'");
    }
    return value;
}

void add_targets(const std::string& text, std::vector<std::int64_t>& targets) {
    constexpr unsigned most_top = 1000;  // each is a map of its own
    if (text.compare(0, 3, "top") == 0) {
        const unsigned count = number(std::string_view(text).substr(3), "--target topN", 1, most_top);
        for (std::int64_t place = 1; place <= count; ++place) targets.push_back(-place);
    } else {
        targets.push_back(number(text, "--target (other than topN)", 0, max_count));
    }
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments) {
    Options options;
    options.threads = std::clamp(std::thread::hardware_concurrency(), 1U, max_threads);
    for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
        const std::string& name = *argument;
        const auto value = [&]() -> const std::string& {
            if (argument + 1 == arguments.end()) throw UsageError(name + " needs a value; see --help");
            return *++argument;
        };
        if (name == "--help" || name == "-h") options.help = true;
        else if (name == "--target") add_targets(value(), options.targets);
        else if (name == "-o" || name == "--output") options.folder = value();
        else if (name == "--npy") options.npy = true;
        else if (name == "--threads") options.threads = number(value(), name, 1, max_threads);
        else if (name == "--repeat") options.repeat = number(value(), name, 1, max_count);
        else if (name == "--cuda") options.cuda = true;
        else if (name.size() > 1 && name[0] == '-') throw UsageError("unknown option " + name + "; see --help");
        else if (options.model.empty()) options.model = name;
        else options.images.emplace_back(name);
    }
    if (options.help) return options;
    if (options.images.empty()) throw UsageError("give a model and one or more images; see --help");
    if (options.npy && options.folder.empty()) throw UsageError("--npy needs a folder to write to; give -o FOLDER");
    if (options.targets.empty()) options.targets.push_back(-1);
    return options;
}

void check_targets(const std::vector<std::int64_t>& targets, std::int64_t class_count) {
    for (const std::int64_t target : targets) {
        if (target >= class_count || target < -class_count) {
            const std::string name = target < 0 ? "top" + std::to_string(-target) : std::to_string(target);
            throw UsageError("--target " + name + " is out of range; the model has " + std::to_string(class_count) +
                             " classes, 0 to " + std::to_string(class_count - 1));
        }
    }
}

}  // namespace explained
