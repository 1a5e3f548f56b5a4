// The command line of the samples: `--name value` pairs and flags, checked against what a sample
// knows. Anything else is one line on standard error and exit status 2.
#pragma once

#include <fairway/engine/port_options.hpp>
#include <fairway/loopback.hpp>
#include <fairway/net/endpoint.hpp>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace samples {

// One line on standard error, then the end.
[[noreturn]] inline void fail(std::string_view program, const std::string& what, int status) {
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(program.size()), program.data(),
               what.c_str());
  std::exit(status);
}

class arguments {
 public:
  // `with_value` and `flags` name what is known, without the dashes.
  arguments(std::string_view program, std::string_view help, int count, char** words,
            std::initializer_list<std::string_view> with_value,
            std::initializer_list<std::string_view> flags = {})
      : program_{program} {
    for (int i = 1; i < count; ++i) {
      const std::string_view word = words[i];
      const std::string_view name = word.starts_with("--") ? word.substr(2) : std::string_view{};
      if (name == "help") {
        std::fwrite(help.data(), 1, help.size(), stdout);
        std::exit(0);
      }
      if (known(flags, name)) {
        values_[std::string{name}] = "";
      } else if (known(with_value, name)) {
        if (++i == count) usage("--" + std::string{name} + " needs a value");
        values_[std::string{name}] = words[i];
      } else {
        usage("unknown option '" + std::string{word} + "'; --help lists the options");
      }
    }
  }

  bool has(const std::string& name) const { return values_.contains(name); }

  std::string text(const std::string& name, const std::string& otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }

  std::size_t number(const std::string& name, std::size_t otherwise, std::size_t least,
                     std::size_t most) const {
    const std::string given = text(name, std::to_string(otherwise));
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
    if (error != std::errc{} || end != given.data() + given.size() || value < least ||
        value > most) {
      usage("--" + name + " takes a number from " + std::to_string(least) + " to " +
            std::to_string(most) + ", not '" + given + "'");
    }
    return value;
  }

  fairway::endpoint endpoint(const std::string& name, const std::string& otherwise) const {
    const std::string given = text(name, otherwise);
    auto parsed = fairway::endpoint::parse(given);
    if (!parsed) {
      usage("--" + name + " takes ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH, not '" + given + "'");
    }
    return parsed.value();
  }

  // `busy_poll`: microseconds, where --busy-poll is not given.
  fairway::port_options port(std::size_t busy_poll = 0) const {
    fairway::port_options options;
    const std::string given = text("engine", "automatic");
    if (!fairway::parse_engine(given, options.engine)) {
      usage("--engine takes automatic, io_uring, epoll or iocp, not '" + given + "'");
    }
    options.busy_poll = std::chrono::microseconds{number("busy-poll", busy_poll, 0, 1'000'000)};
    return options;
  }

  fairway::loopback loopback() const {
    fairway::loopback policy = fairway::loopback::off;
    const std::string given = text("loopback", "off");
    if (!fairway::parse_loopback(given, policy)) {
      usage("--loopback takes off, kernel, shared_memory or both, not '" + given + "'");
    }
    return policy;
  }

 private:
  static bool known(std::initializer_list<std::string_view> names, std::string_view name) {
    for (std::string_view n : names) {
      if (n == name) return true;
    }
    return false;
  }
  [[noreturn]] void usage(const std::string& what) const { fail(program_, what, 2); }

  std::string_view program_;
  std::map<std::string, std::string> values_;
};

}  // namespace samples
