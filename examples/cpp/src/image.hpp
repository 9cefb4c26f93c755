// Images and maps in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace explained {

/// RGB pixels [height, width, 3].
struct Image {
    int height = 0;
    int width = 0;
    std::vector<std::uint8_t> pixels;

    /// Takes another size; memory is kept where it suffices. The pixels are then unspecified.
    void resize(int new_height, int new_width) {
        height = new_height;
        width = new_width;
        pixels.resize(row_size() * static_cast<std::size_t>(height));
    }

    std::size_t row_size() const { return 3 * static_cast<std::size_t>(width); }
    const std::uint8_t* row(int y) const { return pixels.data() + row_size() * static_cast<std::size_t>(y); }
    std::uint8_t* row(int y) { return pixels.data() + row_size() * static_cast<std::size_t>(y); }
};

/// One value a pixel [height, width].
struct Map {
    int height = 0;
    int width = 0;
    std::vector<float> values;
};

}  // namespace explained
