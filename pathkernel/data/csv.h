#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pathkernel {

/// Goes through comma-separated text (RFC 4180: fields may stand in double quotes, then with commas, line breaks and doubled
/// quotes inside; lines end with LF or CRLF; empty lines are skipped) and calls `record` with each record's fields and the line
/// it begins on, counted from 1. The fields are reused between calls.
/// @param name  of the text, for messages
/// @throws InvalidInput naming the line of a byte that is no UTF-8, or of a quote that is not closed or stands inside an unquoted field.
using CsvRecord = std::function<void(const std::vector<std::string>& fields, int64_t line)>;
void for_each_csv_record(const std::string& name, std::string_view text, const CsvRecord& record);

}  // namespace pathkernel
