#include "image_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#ifdef EXPLAIN_WITH_OPENCV
#include <opencv2/imgcodecs.hpp>
#endif

#include "error.hpp"

namespace explained {
namespace {

constexpr std::int64_t max_pixels = 100'000'000;  // checked before memory is asked for

std::string read_bytes(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!std::filesystem::is_regular_file(path) || !file) throw Error("cannot be read as an image; check the path");
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The numbers of a netpbm header, which spaces, line ends and comments part (netpbm's ppm(5)).
class Header {
public:
    explicit Header(std::string_view data) : data_(data) {}

    std::int64_t number() {
        skip_space();
        const std::size_t start = at_;
        std::int64_t result = 0;
        for (; at_ < data_.size() && data_[at_] >= '0' && data_[at_] <= '9'; ++at_) {
            result = std::min<std::int64_t>(result * 10 + (data_[at_] - '0'), max_pixels + 1);
        }
        if (at_ == start) throw Error("is a PPM file with a damaged header; convert the image again");
        return result;
    }

    /// Where the pixels begin: after a single space.
    std::size_t end() const { return at_ + 1; }

private:
    void skip_space() {
        for (; at_ < data_.size(); ++at_) {
            if (data_[at_] == '#') at_ = std::min(data_.find('\n', at_), data_.size() - 1);
            else if (!std::strchr(" \t\n\v\f\r", data_[at_]) || data_[at_] == '\0') return;
        }
    }

    std::string_view data_;
    std::size_t at_ = 2;  // after the magic number
};

Image decode_ppm(std::string_view data) {
    Header header(data);
    const std::int64_t width = header.number(), height = header.number(), maximum = header.number();
    if (width == 0 || height == 0 || width * height > max_pixels) {
        throw Error("has no pixels, or over " + std::to_string(max_pixels) + "; resize it");
    }
    if (maximum != 255) {
        throw Error("is a PPM file of maximum " + std::to_string(maximum) + ", not 255; save it with 8 bits");
    }
    Image image;
    image.resize(static_cast<int>(height), static_cast<int>(width));
    const std::size_t found = data.size() - std::min(data.size(), header.end());
    if (found < image.pixels.size()) {
        throw Error("is cut off: it has " + std::to_string(found) + " of " + std::to_string(image.pixels.size()) +
                    " bytes of pixels; copy it again");
    }
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(header.end()), image.pixels.size(), image.pixels.begin());
    return image;
}

#ifdef EXPLAIN_WITH_OPENCV
cv::Mat decoded(std::string_view data, int mode) {
    try {
        const cv::Mat bytes(1, static_cast<int>(data.size()), CV_8U, const_cast<char*>(data.data()));
        cv::Mat image = cv::imdecode(bytes, mode);
        if (!image.empty()) return image;
    } catch (const cv::Exception&) {  // thrown, where nothing is returned else, for no bytes and for too many pixels
    }
    throw Error("cannot be decoded by OpenCV (damaged, or of a rare format); save it as PNG");
}

Image decode(std::string_view data) {
    constexpr std::string_view jpeg_begin = "\xff\xd8", jpeg_end = "\xff\xd9";
    const std::string_view content = data.substr(0, data.find_last_not_of('\0') + 1);
    if (content.substr(0, 2) == jpeg_begin && content.substr(content.size() - 2) != jpeg_end) {
        throw Error("is a JPEG file without its end, which OpenCV would fill with grey; copy it again or save it anew");
    }
    // Only this mode shows transparency and 16 bits, and only the other one turns photos as their EXIF block says.
    const cv::Mat stored = decoded(data, cv::IMREAD_UNCHANGED);
    if (stored.depth() != CV_8U || stored.channels() > 3) {
        throw Error("is transparent or not of 8 bits; save it as plain RGB");
    }
    const cv::Mat bgr = decoded(data, cv::IMREAD_COLOR);
    Image image;
    image.resize(bgr.rows, bgr.cols);
    for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < image.width; ++x) {
            const auto& pixel = bgr.at<cv::Vec3b>(y, x);
            for (int c = 0; c < 3; ++c) image.row(y)[3 * x + c] = pixel[2 - c];
        }
    }
    return image;
}
#else
Image decode(std::string_view) {
    throw Error("is not a PPM (P6) file; convert it (magick IN OUT.ppm), or build this program with OpenCV");
}
#endif

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
    // Under another name first, so that nobody finds half a file.
    const auto temporary = path.parent_path() / ("." + std::to_string(std::random_device()()) + ".tmp");
    std::error_code problem;
    if (std::ofstream file(temporary, std::ios::binary); !(file << bytes).flush())
        problem = std::make_error_code(std::errc::io_error);
    if (!problem) std::filesystem::rename(temporary, path, problem);
    if (!problem) return;
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw Error(path.string() + ": cannot be written; choose a writable folder with free space");
}

template <class Container>
std::string bytes_of(const Container& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])};
}

std::string size_of(int height, int width) { return std::to_string(width) + " " + std::to_string(height); }

}  // namespace

Image read_image(const std::filesystem::path& path) {
    try {
        const std::string data = read_bytes(path);
        return data.compare(0, 2, "P6") == 0 ? decode_ppm(data) : decode(data);
    } catch (const std::exception& error) {
        throw Error(path.string() + ": " + error.what());
    }
}

void write_picture(const std::filesystem::path& path, const Image& image) {
#ifdef EXPLAIN_WITH_OPENCV
    cv::Mat bgr(image.height, image.width, CV_8UC3);
    for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < image.width; ++x) {
            for (int c = 0; c < 3; ++c) bgr.at<cv::Vec3b>(y, x)[c] = image.row(y)[3 * x + 2 - c];
        }
    }
    std::vector<unsigned char> encoded;
    if (!cv::imencode(picture_suffix, bgr, encoded)) throw Error(path.string() + ": OpenCV cannot encode it");
    write_bytes(path, bytes_of(encoded));
#else
    write_bytes(path, "P6\n" + size_of(image.height, image.width) + "\n255\n" + bytes_of(image.pixels));
#endif
}

void write_grey(const std::filesystem::path& path, const Map& map) {
    std::string bytes = "P5\n" + size_of(map.height, map.width) + "\n65535\n";
    for (const float value : map.values) {
        const long grey = std::lrint(std::min(std::fabs(value), 1.0F) * 65535);
        bytes += static_cast<char>(grey >> 8);  // the higher byte first
        bytes += static_cast<char>(grey & 255);
    }
    write_bytes(path, bytes);
}

void write_npy(const std::filesystem::path& path, const Map& map) {
    // NumPy's format 1.0 (numpy.lib.format); float32 of the machine's order, which is little-endian wherever this runs.
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(map.height) + ", " +
                         std::to_string(map.width) + "), }";
    constexpr std::size_t before = 10, alignment = 64;
    header.append(alignment - 1 - (before + header.size()) % alignment, ' ');
    header += '\n';
    const auto length = static_cast<unsigned>(header.size());
    const std::string prefix{
        '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<char>(length & 255), static_cast<char>(length >> 8)};
    write_bytes(path, prefix + header + bytes_of(map.values));
}

}  // namespace explained
