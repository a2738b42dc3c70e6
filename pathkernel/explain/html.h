#pragma once

#include <string>
#include <string_view>

namespace pathkernel {

/// The bundled programs of the pages, built from web/ into the library (cmake/Web.cmake).
extern const std::string_view report_program, theorem_program, audit_program, spectrum_program;

/// A document that holds `json` and the program that shows it. The title is escaped; the JSON is written so that no text in it can
/// end the element it stands in.
std::string html_document(const std::string& title, const std::string& json, std::string_view program);

/// "&lt;b&gt;" for "<b>": text as it may stand in an element or an attribute.
std::string escape_html(const std::string& text);

/// Bytes in base64 (RFC 4648), with padding.
std::string base64(const std::string& bytes);

}  // namespace pathkernel
