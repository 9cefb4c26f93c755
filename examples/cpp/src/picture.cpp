#include "picture.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "inferno.hpp"

namespace explained {
namespace {

using Colour = std::array<float, 3>;

// The ends of RdBu (ColorBrewer, Harrower and Brewer 2003), which colour-blind readers can tell apart.
constexpr Colour negative{33, 102, 172}, positive{178, 24, 43};

bool is_signed(const Map& map) {
    return std::any_of(map.values.begin(), map.values.end(), [](float value) { return value < 0; });
}

Colour of_heat(float heat) {
    const std::uint32_t rgb = inferno[std::clamp(std::lrint(heat * 255), 0L, 255L)];
    return {static_cast<float>(rgb >> 16), static_cast<float>((rgb >> 8) & 255), static_cast<float>(rgb & 255)};
}

std::uint8_t mixed(float from, float to, float share) {
    return static_cast<std::uint8_t>(std::lrint(from + (to - from) * share));
}

float percentile(std::vector<float> values, double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto low = values.begin() + static_cast<std::ptrdiff_t>(place);
    std::nth_element(values.begin(), low, values.end());
    const float next = low + 1 == values.end() ? *low : *std::min_element(low + 1, values.end());
    return *low + (next - *low) * static_cast<float>(place - std::floor(place));
}

}  // namespace

Image overlay(const Image& image, const Map& heatmap) {
    constexpr float alpha = 0.5F;  // the most opaque
    const bool has_sign = is_signed(heatmap);
    Image result = image;
    for (std::size_t i = 0; i < heatmap.values.size(); ++i) {
        const float heat = std::clamp(heatmap.values[i], -1.0F, 1.0F), magnitude = std::fabs(heat);
        const Colour colour = !has_sign ? of_heat(heat) : heat < 0 ? negative : positive;
        const float opacity = alpha * magnitude * (2 - magnitude);
        for (std::size_t c = 0; c < 3; ++c) {
            auto& value = result.pixels[3 * i + c];
            value = mixed(value, colour[c], opacity);
        }
    }
    return result;
}

Image saliency(const Map& heatmap) {
    std::vector<float> magnitudes(heatmap.values.size());
    std::transform(heatmap.values.begin(), heatmap.values.end(), magnitudes.begin(),
                   [](float v) { return std::fabs(v); });
    float peak = percentile(magnitudes, 0.99);
    if (!(peak > 0)) peak = std::max(*std::max_element(magnitudes.begin(), magnitudes.end()), 1e-30F);
    const bool has_sign = is_signed(heatmap);
    Image result;
    result.resize(heatmap.height, heatmap.width);
    for (std::size_t i = 0; i < heatmap.values.size(); ++i) {
        const float heat = std::clamp(heatmap.values[i] / peak, -1.0F, 1.0F);
        const Colour inferno_colour = of_heat(std::max(heat, 0.0F)), end = heat < 0 ? negative : positive;
        for (std::size_t c = 0; c < 3; ++c) {
            result.pixels[3 * i + c] = has_sign ? mixed(255, end[c], std::fabs(heat)) : mixed(inferno_colour[c], 0, 0);
        }
    }
    return result;
}

}  // namespace explained
