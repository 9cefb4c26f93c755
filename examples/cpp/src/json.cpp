#include "json.hpp"

#include <limits>
#include <locale>
#include <sstream>

#include "error.hpp"

namespace explained {
namespace {

constexpr int max_depth = 100;  // of nesting, which costs stack

class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    Json document() {
        Json result = value(0);
        skip_space();
        if (at_ != text_.size()) fail("more follows the value");
        return result;
    }

private:
    [[noreturn]] void fail(const char* problem) const {
        throw Error("no JSON, " + std::string(problem) + " at byte " + std::to_string(at_));
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    char next() {
        if (at_ == text_.size()) fail("the text ends early");
        return text_[at_++];
    }

    bool take(std::string_view expected) {
        if (text_.substr(at_, expected.size()) != expected) return false;
        at_ += expected.size();
        return true;
    }

    void expect(std::string_view expected, const char* problem) {
        if (!take(expected)) fail(problem);
    }

    void skip_space() {
        while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) ++at_;
    }

    Json value(int depth) {
        if (depth > max_depth) fail("too deeply nested");
        skip_space();
        switch (peek()) {
            case '{': return Json(object(depth));
            case '[': return Json(array(depth));
            case '"': return Json(string());
            case 't': expect("true", "an unknown word"); return Json(true);
            case 'f': expect("false", "an unknown word"); return Json(false);
            case 'n': expect("null", "an unknown word"); return Json(nullptr);
            default: return Json(number());
        }
    }

    Json::Object object(int depth) {
        Json::Object members;
        expect("{", "no object");
        skip_space();
        if (take("}")) return members;
        do {
            skip_space();
            std::string key = string();
            skip_space();
            expect(":", "no colon after a key");
            if (!members.emplace(std::move(key), value(depth + 1)).second) fail("a key stands twice");
            skip_space();
        } while (take(","));
        expect("}", "an object is not closed");
        return members;
    }

    Json::Array array(int depth) {
        Json::Array items;
        expect("[", "no array");
        skip_space();
        if (take("]")) return items;
        do {
            items.push_back(value(depth + 1));
            skip_space();
        } while (take(","));
        expect("]", "an array is not closed");
        return items;
    }

    std::string string() {
        std::string result;
        expect("\"", "no string");
        for (char c = next(); c != '"'; c = next()) {
            if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
            if (c == '\\') {
                escape(result);
            } else {
                result += c;
            }
        }
        return result;
    }

    void escape(std::string& result) {
        constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
        const char c = next();
        if (c == 'u') {
            append_utf8(result, code_point());
        } else if (const auto index = names.find(c); index != std::string_view::npos) {
            result += values[index];
        } else {
            fail("an unknown escape");
        }
    }

    unsigned code_point() {
        const unsigned first = code_unit();
        if (first < 0xD800 || first > 0xDFFF) return first;
        if (first > 0xDBFF || !take("\\u")) fail("half of a surrogate pair");
        const unsigned second = code_unit();
        if (second < 0xDC00 || second > 0xDFFF) fail("half of a surrogate pair");
        return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    }

    unsigned code_unit() {
        unsigned unit = 0;
        for (int digit = 0; digit < 4; ++digit) {
            const auto value = std::string_view("0123456789abcdef").find(static_cast<char>(next() | 0x20));
            if (value == std::string_view::npos) fail("no four hexadecimal digits");
            unit = unit * 16 + static_cast<unsigned>(value);
        }
        return unit;
    }

    static void append_utf8(std::string& text, unsigned point) {
        if (point < 0x80) {
            text += static_cast<char>(point);
            return;
        }
        const int following = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
        constexpr unsigned lead[] = {0, 0xC0, 0xE0, 0xF0};
        text += static_cast<char>(lead[following] | (point >> (6 * following)));
        for (int shift = 6 * (following - 1); shift >= 0; shift -= 6) {
            text += static_cast<char>(0x80 | ((point >> shift) & 0x3F));
        }
    }

    double number() {
        const std::size_t start = at_;
        take("-");
        if (!take("0")) digits();
        if (take(".")) digits();
        if (take("e") || take("E")) {
            if (!take("+")) take("-");
            digits();
        }
        // Not strtod, which reads a decimal comma under some locales; from_chars of doubles is not everywhere yet.
        std::istringstream in{std::string(text_.substr(start, at_ - start))};
        in.imbue(std::locale::classic());
        double result = 0;
        if (!(in >> result)) fail("a number out of range");
        return result;
    }

    void digits() {
        if (peek() < '0' || peek() > '9') fail("no value");
        while (peek() >= '0' && peek() <= '9') ++at_;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

template <class Kind, class Value>
const Kind& get(const Value& value, const char* kind) {
    if (const auto* found = std::get_if<Kind>(&value)) return *found;
    throw Error(std::string("something else where ") + kind + " belongs");
}

}  // namespace

Json Json::parse(std::string_view text) { return Reader(text).document(); }

double Json::number() const { return get<double>(value_, "a number"); }
const std::string& Json::string() const { return get<std::string>(value_, "a text"); }
const Json::Array& Json::array() const { return get<Array>(value_, "a list"); }
const Json::Object& Json::object() const { return get<Object>(value_, "an object"); }

int Json::integer() const {
    const double value = number();
    using Limits = std::numeric_limits<int>;
    if (!(value >= Limits::min() && value <= Limits::max()) || value != static_cast<int>(value)) {
        throw Error(std::to_string(value) + " where an integer belongs");
    }
    return static_cast<int>(value);
}

const Json* Json::find(std::string_view key) const {
    const auto member = object().find(key);
    return member == object().end() ? nullptr : &member->second;
}

const Json& Json::at(std::string_view key) const {
    if (const Json* found = find(key)) return *found;
    throw Error("no '" + std::string(key) + "'");
}

std::vector<double> Json::numbers() const {
    std::vector<double> result;
    for (const Json& item : array()) result.push_back(item.number());
    return result;
}

std::vector<std::string> Json::strings() const {
    std::vector<std::string> result;
    for (const Json& item : array()) result.push_back(item.string());
    return result;
}

}  // namespace explained
