#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace pathkernel {

/// One prepared SQL statement. Parameters are counted from 1, columns from 0. Texts and blobs are copied both ways.
class Statement {
 public:
  Statement(sqlite3* database, const std::string& path, const std::string& sql);

  Statement& bind(int parameter, int64_t value);
  Statement& bind(int parameter, double value);
  Statement& bind_text(int parameter, std::string_view value);
  Statement& bind_blob(int parameter, std::string_view bytes);
  /// Moves to the next row; false after the last. @throws as Database
  bool next();
  /// Ready to be bound and run again.
  void reset();

  int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::string blob(int column) const;

 private:
  struct Finalize { void operator()(sqlite3_stmt* statement) const; };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  const std::string* path_;  ///< of the database, for messages; the database outlives its statements
};

/// An SQLite file. Every method @throws CorruptData when the file is damaged or no database, InvalidInput when it cannot be
/// read, written or locked; the message names the file.
class Database {
 public:
  enum class Access { create, existing };
  Database(const std::string& path, Access access);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }
  /// Statements without results, separated by semicolons.
  void run(const std::string& sql);
  Statement prepare(const std::string& sql);
  /// First column of the first row.
  int64_t number(const std::string& sql);

 private:
  std::string path_;
  struct Close { void operator()(sqlite3* database) const; };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace pathkernel
