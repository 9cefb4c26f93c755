// Explains images from several threads over one session: the shape of a service, with the command line for a client.
#include <algorithm>
#include <chrono>
#include <deque>
#include <fstream>
#include <future>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "error.hpp"
#include "explained_model.hpp"
#include "image_file.hpp"
#include "options.hpp"
#include "picture.hpp"
#include "worker_pool.hpp"

namespace explained {
namespace {

/// Name of the class in lines and file names; the place asked for, where the model does not rank its classes.
std::string class_name(const Explanation& one) {
    return one.class_index ? std::to_string(*one.class_index) : "top" + std::to_string(-one.target);
}

std::string line(const std::filesystem::path& image, const Explanation& one, const Contract& contract) {
    std::ostringstream text;
    text << image.string() << '\t' << class_name(one) << '\t' << (one.label.empty() ? "-" : one.label) << '\t'
         << one.score;
    if (contract.layers.size() > 1) text << '\t' << contract.layers[one.layer];
    return text.str() + "\n";
}

void write(const std::filesystem::path& folder, const std::string& stem, const Image& image, const Explanation& one,
           const Contract& contract, bool npy) {
    const std::string layer = contract.layers.size() > 1 ? "_layer" + std::to_string(one.layer) : "";
    const std::string base = (folder / (stem + "_" + class_name(one) + layer)).string();
    write_grey(base + ".pgm", one.heatmap);
    write_picture(base + picture_suffix, contract.is_pixelwise() ? saliency(one.heatmap) : overlay(image, one.heatmap));
    if (npy) write_npy(base + ".npy", one.heatmap);
}

/// One name an image, for its files: several folders may hold an image of the same name.
std::vector<std::string> stems(const std::vector<std::filesystem::path>& images) {
    std::set<std::string> taken;
    std::vector<std::string> result;
    for (const auto& image : images) {
        std::string stem = image.stem().string();
        for (int number = 2; !taken.insert(stem).second; ++number) {
            stem = image.stem().string() + "-" + std::to_string(number);
        }
        result.push_back(stem);
    }
    return result;
}

/// What the process holds of the memory, as Linux tells it.
std::string resident_memory() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == "VmRSS:" && status >> word) return word + " kB";
    }
    return "unknown";
}

struct Request {
    std::filesystem::path image;
    std::string stem;       ///< of the files to write
    bool is_first = false;  ///< of its repetitions: the one that is written
};

/// Runs in a worker: from an image file to the lines to print.
std::string serve(const ExplainedModel& model, const Options& options, const Request& request, Workspace& workspace) {
    const Image image = read_image(request.image);
    std::string lines;
    try {
        for (const Explanation& one : model.explain(image, options.targets, workspace)) {
            lines += line(request.image, one, model.contract());
            if (!request.is_first || options.folder.empty()) continue;
            write(options.folder, request.stem, image, one, model.contract(), options.npy);
        }
    } catch (const std::exception& error) {
        throw Error(request.image.string() + ": " + error.what());
    }
    return lines;
}

/// Hands all requests to the workers and prints their replies in order; returns how many failed.
std::size_t serve_all(const ExplainedModel& model, const Options& options) {
    const std::vector<std::string> names = stems(options.images);
    const std::size_t images = names.size(), requests = images * options.repeat;
    std::size_t done = 0, failed = 0;
    std::string memory_half_way;
    std::deque<std::future<std::string>> replies;
    const auto finish_one = [&] {
        const bool is_first = done < images;
        try {
            const std::string lines = replies.front().get();
            if (is_first) std::cout << lines << std::flush;
        } catch (const std::exception& error) {
            ++failed;
            if (is_first) std::cerr << "error: " << error.what() << '\n';
        }
        replies.pop_front();
        if (++done == (requests + 1) / 2) memory_half_way = resident_memory();
    };

    const auto start = std::chrono::steady_clock::now();
    WorkerPool workers(options.threads);
    for (std::size_t i = 0; i < requests; ++i) {
        const Request request{options.images[i % images], names[i % images], i < images};
        replies.push_back(workers.submit(
            [&model, &options, request](Workspace& workspace) { return serve(model, options, request, workspace); }));
        if (replies.size() > 2 * options.threads) finish_one();
    }
    while (!replies.empty()) finish_one();
    if (options.repeat > 1) {
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        std::cerr << requests << " requests on " << options.threads << " threads in " << elapsed.count() << " s, "
                  << failed << " failed; memory " << memory_half_way << " half-way, " << resident_memory()
                  << " at the end\n";
    }
    return failed;
}

int run(const Options& options) {
    // Requests share the cores: with as many workers as cores, each run takes one.
    const unsigned threads_a_run = std::max(1U, std::thread::hardware_concurrency() / options.threads);
    const ExplainedModel model(options.model, {static_cast<int>(threads_a_run), options.cuda});
    if (model.class_count()) check_targets(options.targets, *model.class_count());
    if (std::error_code problem; !options.folder.empty()) {
        std::filesystem::create_directories(options.folder, problem);
        if (problem) throw Error(options.folder.string() + ": " + problem.message() + "; choose another folder");
    }
    const std::size_t failed = serve_all(model, options);
    if (!std::cout.flush()) throw Error("the standard output cannot be written to; check where it goes");
    return failed ? 1 : 0;
}

}  // namespace
}  // namespace explained

int main(int argc, char** argv) {
    try {
        const auto options = explained::parse_options({argv + 1, argv + argc});
        if (options.help) {
            std::cout << explained::usage;
            return 0;
        }
        return explained::run(options);
    } catch (const explained::UsageError& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    }
}
