// Sets an environment variable for a scope. Only while the process has one thread.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace support {

class environment_variable {
 public:
  // Null removes the variable.
  environment_variable(const char* name, const char* value) : name_{name} {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  environment_variable(const environment_variable&) = delete;
  environment_variable& operator=(const environment_variable&) = delete;
  ~environment_variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) {
#if defined(_WIN32)
    ::_putenv_s(name_.c_str(), value == nullptr ? "" : value);
#else
    if (value == nullptr) {
      ::unsetenv(name_.c_str());
    } else {
      ::setenv(name_.c_str(), value, 1);
    }
#endif
  }

  std::string name_;
  std::optional<std::string> before_;  // empty: was not set
};

}  // namespace support
