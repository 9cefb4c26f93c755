#include "resize.hpp"

#include <algorithm>
#include <cmath>

namespace explained {
namespace {

constexpr int channels = 3;

/// What one source pixel gives to one target pixel.
struct Share {
    int target;
    int source;
    float weight;
};

/// By how much each target pixel covers each source pixel, in the order of targets; weights of a target add up to 1.
std::vector<Share> area_shares(int from, int to) {
    constexpr double negligible = 1e-3;  // of a pixel, left out as OpenCV does (computeResizeAreaTab in resize.cpp)
    const double scale = static_cast<double>(from) / to;
    std::vector<Share> shares;
    for (int target = 0; target < to; ++target) {
        const double begin = target * scale, end = begin + scale;
        const double length = std::min(scale, from - begin);
        const int last_whole = std::min(static_cast<int>(std::floor(end)), from - 1);
        const int first_whole = std::min(static_cast<int>(std::ceil(begin)), last_whole);
        const auto add = [&](int source, double covered) {
            shares.push_back({target, source, static_cast<float>(covered / length)});
        };
        if (first_whole - begin > negligible) add(first_whole - 1, first_whole - begin);
        for (int source = first_whole; source < last_whole; ++source) add(source, 1);
        if (end - last_whole > negligible) add(last_whole, std::min({end - last_whole, 1.0, length}));
    }
    return shares;
}

std::uint8_t rounded(float value) { return static_cast<std::uint8_t>(std::clamp(std::lrint(value), 0L, 255L)); }

/// Sides that are divided by integers: sums of integers, each rounded once.
void shrink_evenly(const Image& image, int down, int across, Image& result) {
    const float share = 1.0F / static_cast<float>(down * across);
    const bool quarters = down == 2 && across == 2;  // here OpenCV rounds halves up, elsewhere to even
    for (int y = 0; y < result.height; ++y) {
        for (int x = 0; x < result.width; ++x) {
            for (int c = 0; c < channels; ++c) {
                int sum = 0;
                for (int dy = 0; dy < down; ++dy) {
                    const std::uint8_t* row = image.row(y * down + dy) + x * across * channels + c;
                    for (int dx = 0; dx < across; ++dx) sum += row[dx * channels];
                }
                const auto value =
                    quarters ? static_cast<std::uint8_t>((sum + 2) / 4) : rounded(static_cast<float>(sum) * share);
                result.row(y)[x * channels + c] = value;
            }
        }
    }
}

}  // namespace

void shrink(const Image& image, int height, int width, Image& result) {
    result.resize(height, width);
    if (height == image.height && width == image.width) {
        result.pixels = image.pixels;
        return;
    }
    if (image.height % height == 0 && image.width % width == 0) {
        shrink_evenly(image, image.height / height, image.width / width, result);
        return;
    }
    const std::vector<Share> across = area_shares(image.width, width), down = area_shares(image.height, height);
    std::vector<float> line(result.row_size()), sums(result.row_size());
    auto share = down.begin();
    for (int y = 0; y < height; ++y) {
        std::fill(sums.begin(), sums.end(), 0.0F);
        for (; share != down.end() && share->target == y; ++share) {
            std::fill(line.begin(), line.end(), 0.0F);
            const std::uint8_t* row = image.row(share->source);
            for (const Share& part : across) {
                float* target = line.data() + part.target * channels;
                const std::uint8_t* source = row + part.source * channels;
                for (int c = 0; c < channels; ++c) target[c] += static_cast<float>(source[c]) * part.weight;
            }
            for (std::size_t i = 0; i < line.size(); ++i) sums[i] += share->weight * line[i];
        }
        std::transform(sums.begin(), sums.end(), result.row(y), rounded);
    }
}

std::vector<Between> linear_positions(int from, int to) {
    const double scale = static_cast<double>(from) / to;
    std::vector<Between> positions;
    positions.reserve(static_cast<std::size_t>(to));
    for (int target = 0; target < to; ++target) {
        const double place = (target + 0.5) * scale - 0.5;
        const int low = static_cast<int>(std::floor(place));
        if (low < 0) {
            positions.push_back({0, 0, 0});
        } else if (low >= from - 1) {
            positions.push_back({from - 1, from - 1, 0});
        } else {
            positions.push_back({low, low + 1, static_cast<float>(place - low)});
        }
    }
    return positions;
}

}  // namespace explained
