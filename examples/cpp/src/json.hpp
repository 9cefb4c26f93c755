// A strict reader of JSON (RFC 8259), for the record that explained models carry.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace explained {

/// One JSON value. The accessors throw Error where the value is of another kind.
class Json {
public:
    using Array = std::vector<Json>;
    using Object = std::map<std::string, Json, std::less<>>;

    Json() = default;
    template <class Value>
    explicit Json(Value value) : value_(std::move(value)) {}

    /// Reads a whole text. Throws Error, with the place, for anything that is not JSON, and for keys given twice.
    static Json parse(std::string_view text);

    bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
    double number() const;
    /// A number without a fraction.
    int integer() const;
    const std::string& string() const;
    const Array& array() const;
    const Object& object() const;

    /// The member of an object. Throws Error where it is missing.
    const Json& at(std::string_view key) const;
    /// The member of an object, or nullptr.
    const Json* find(std::string_view key) const;

    std::vector<double> numbers() const;
    std::vector<std::string> strings() const;

private:
    std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value_ = nullptr;
};

}  // namespace explained
