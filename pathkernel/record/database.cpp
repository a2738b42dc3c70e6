#include <pathkernel/core/error.h>
#include <pathkernel/record/database.h>

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>

namespace pathkernel {
namespace {

[[noreturn]] void fail(const std::string& path, int code, const std::string& reason) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      throw CorruptData(fmt::format("{}: is no SQLite database, or is damaged; restore it from a copy, or train again", path));
    case SQLITE_CORRUPT:
      throw CorruptData(fmt::format("{}: is damaged or was cut short ({}); restore it from a copy, or train again", path, reason));
    case SQLITE_BUSY:
      throw InvalidInput(fmt::format("{}: is in use by another program; try again when that has finished", path));
    case SQLITE_FULL:
      throw InvalidInput(fmt::format("{}: the disk is full", path));
    case SQLITE_ERROR:  // "no such table: steps"
      throw CorruptData(fmt::format("{}: its tables are not those of a recording ({}); restore it from a copy, or train again", path, reason));
    default:
      throw InvalidInput(fmt::format("{}: {}", path, reason));
  }
}

void check(sqlite3* database, const std::string& path, int code) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
  const int reason = errno;  // SQLite says no more than "disk I/O error"; the system call that failed was the last to set this
  const bool of_system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
  fail(path, code, of_system && reason != 0 ? fmt::format("{} ({})", sqlite3_errmsg(database), std::strerror(reason)) : sqlite3_errmsg(database));
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement::Statement(sqlite3* database, const std::string& path, const std::string& sql) : path_(&path) {
  sqlite3_stmt* statement = nullptr;
  check(database, path, sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr));
  statement_.reset(statement);
}

Statement& Statement::bind(int parameter, int64_t value) {
  check(sqlite3_db_handle(statement_.get()), *path_, sqlite3_bind_int64(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, double value) {
  check(sqlite3_db_handle(statement_.get()), *path_, sqlite3_bind_double(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::bind_text(int parameter, std::string_view value) {
  check(sqlite3_db_handle(statement_.get()), *path_,
        sqlite3_bind_text64(statement_.get(), parameter, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int parameter, std::string_view bytes) {
  check(sqlite3_db_handle(statement_.get()), *path_,
        sqlite3_bind_blob64(statement_.get(), parameter, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

bool Statement::next() {
  const int code = sqlite3_step(statement_.get());
  check(sqlite3_db_handle(statement_.get()), *path_, code);
  return code == SQLITE_ROW;
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double Statement::real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return text ? std::string(text, sqlite3_column_bytes(statement_.get(), column)) : std::string();
}

std::string Statement::blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  return bytes ? std::string(bytes, sqlite3_column_bytes(statement_.get(), column)) : std::string();
}

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Database::Database(const std::string& path, Access access) : path_(path) {
  // Opened for writing where the system allows it, else for reading: a run that was killed in the middle of a commit leaves a
  // journal, which whoever opens the database next rolls back.
  const int flags = SQLITE_OPEN_READWRITE | (access == Access::create ? SQLITE_OPEN_CREATE : 0);
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  database_.reset(database);
  check(database, path_, code);
  sqlite3_extended_result_codes(database, 1);
  sqlite3_busy_timeout(database, 10'000);
}

Database::~Database() = default;

void Database::run(const std::string& sql) {
  check(database_.get(), path_, sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr));
}

Statement Database::prepare(const std::string& sql) { return Statement(database_.get(), path_, sql); }

int64_t Database::number(const std::string& sql) {
  Statement statement = prepare(sql);
  return statement.next() ? statement.integer(0) : 0;
}

}  // namespace pathkernel
