#include <pathkernel/explain/html.h>

#include <fmt/format.h>

#include <cstdint>

namespace pathkernel {
namespace {

/// '<' only ever stands inside strings of JSON, where its escape says the same.
std::string escape_json(const std::string& json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    if (c == '<') safe += "\\u003c";
    else safe += c;
  }
  return safe;
}

// Nothing may be fetched: the browser enforces what the page promises.
constexpr const char* document = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
</head>
<body>
<div id="page"><noscript>This page draws its numbers with JavaScript, which is switched off.</noscript></div>
<script type="application/json" id="data">{json}</script>
<script>{program}</script>
</body>
</html>
)";

}  // namespace

std::string html_document(const std::string& title, const std::string& json, std::string_view program) {
  return fmt::format(document, fmt::arg("title", escape_html(title)), fmt::arg("json", escape_json(json)), fmt::arg("program", program));
}

std::string escape_html(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += c;
    }
  }
  return safe;
}

std::string base64(const std::string& bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) three = three << 8 | (k < left ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) text += k <= left ? digits[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

}  // namespace pathkernel
