// A small part of Redis: strings with an expiry, and the words that Redis answers with.
#pragma once

#include "resp.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace kv {

using clock = std::chrono::steady_clock;
using words = resp::command;

struct text_hash : std::hash<std::string_view> {
  using is_transparent = void;
};

inline bool same(std::string_view word, std::string_view upper) {
  return std::equal(word.begin(), word.end(), upper.begin(), upper.end(), [](char a, char b) {
    return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b;
  });
}

inline std::optional<std::int64_t> integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

class store {
 public:
  // Puts the reply into `out`, which is empty. Returns false when the connection is to be closed.
  bool run(const words& w, std::string& out) {
    for (const entry& e : commands) {
      if (!same(w[0], e.name)) continue;
      const auto count = static_cast<int>(w.size());
      if (count < e.least || count > e.most || (e.pairs && count % 2 == 0)) {
        error(out, "wrong number of arguments for '" + lower(e.name) + "' command");
      } else {
        (this->*e.act)(w, out);
      }
      return !same(w[0], "QUIT");
    }
    std::string what = "unknown command '" + std::string{w[0].substr(0, 128)} +
                       "', with args beginning with: ";
    for (std::size_t i = 1; i < w.size() && what.size() < 256; ++i) {
      what += "'" + std::string{w[i].substr(0, 128)} + "' ";
    }
    error(out, what);
    return true;
  }

 private:
  struct value {
    std::string text;
    clock::time_point expires = clock::time_point::max();
  };
  struct entry {
    std::string_view name;
    int least, most;
    void (store::*act)(const words&, std::string&);
    bool pairs = false;
  };
  // A short command may name one large value a million times.
  static constexpr std::size_t reply_bytes_max = 64 * 1024 * 1024;
  static constexpr int any = std::numeric_limits<int>::max();
  static const entry commands[16];

  static std::string lower(std::string_view name) {
    std::string made{name};
    for (char& c : made) c = static_cast<char>(c - 'A' + 'a');
    return made;
  }
  static void error(std::string& out, std::string_view what) {
    out.append("-ERR ");
    for (const char c : what) out += c == '\r' || c == '\n' ? ' ' : c;
    out.append("\r\n");
  }
  static void number(std::string& out, std::int64_t n, char kind = ':') {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, n).ptr;
    out += kind;
    out.append(text, static_cast<std::size_t>(end - text)).append("\r\n");
  }
  static void bulk(std::string& out, std::string_view text) {
    number(out, static_cast<std::int64_t>(text.size()), '$');
    out.append(text).append("\r\n");
  }

  value* find(std::string_view key) {
    const auto found = values_.find(key);
    if (found == values_.end()) return nullptr;
    if (found->second.expires != clock::time_point::max() &&
        found->second.expires <= clock::now()) {
      values_.erase(found);
      return nullptr;
    }
    return &found->second;
  }
  value& at(std::string_view key) {
    if (value* found = find(key)) return *found;
    return values_.emplace(std::string{key}, value{}).first->second;
  }

  void ping(const words& w, std::string& out) {
    w.size() == 1 ? void(out.append("+PONG\r\n")) : bulk(out, w[1]);
  }
  void echo(const words& w, std::string& out) { bulk(out, w[1]); }
  void ok(const words&, std::string& out) { out.append("+OK\r\n"); }
  void get(const words& w, std::string& out) {
    value* found = find(w[1]);
    found != nullptr ? bulk(out, found->text) : void(out.append("$-1\r\n"));
  }
  void set(const words& w, std::string& out) {
    clock::time_point expires = clock::time_point::max();
    bool absent = false, present = false;
    for (std::size_t i = 3; i < w.size(); ++i) {
      const bool seconds = same(w[i], "EX");
      if ((seconds || same(w[i], "PX")) && i + 1 < w.size()) {
        const auto time = integer(w[++i]);
        if (!time) return error(out, "value is not an integer or out of range");
        if (*time <= 0 || *time > 1'000'000'000) {
          return error(out, "invalid expire time in 'set' command");
        }
        expires = clock::now() + std::chrono::milliseconds{seconds ? *time * 1000 : *time};
      } else if (same(w[i], "NX") && !present) {
        absent = true;
      } else if (same(w[i], "XX") && !absent) {
        present = true;
      } else {
        return error(out, "syntax error");
      }
    }
    if ((absent || present) && (find(w[1]) != nullptr) == absent) {
      out.append("$-1\r\n");
      return;
    }
    value& v = at(w[1]);
    v.text = w[2];
    v.expires = expires;
    out.append("+OK\r\n");
  }
  void del(const words& w, std::string& out) {
    std::int64_t gone = 0;
    for (std::size_t i = 1; i < w.size(); ++i) {
      if (find(w[i]) != nullptr) {
        values_.erase(values_.find(w[i]));
        ++gone;
      }
    }
    number(out, gone);
  }
  void exists(const words& w, std::string& out) {
    number(out, std::count_if(w.begin() + 1, w.end(),
                              [this](std::string_view key) { return find(key) != nullptr; }));
  }
  void incr(const words& w, std::string& out) {
    value* found = find(w[1]);
    const auto n = found != nullptr ? integer(found->text) : std::optional<std::int64_t>{0};
    if (!n) return error(out, "value is not an integer or out of range");
    if (*n == std::numeric_limits<std::int64_t>::max()) {
      return error(out, "increment or decrement would overflow");
    }
    at(w[1]).text = std::to_string(*n + 1);
    number(out, *n + 1);
  }
  void mget(const words& w, std::string& out) {
    number(out, static_cast<std::int64_t>(w.size()) - 1, '*');
    for (std::size_t i = 1; i < w.size(); ++i) {
      get(w.subspan(i - 1, 2), out);
      if (out.size() <= reply_bytes_max) continue;
      out.clear();
      return error(out, "the reply would be too large");
    }
  }
  void mset(const words& w, std::string& out) {
    for (std::size_t i = 1; i < w.size(); i += 2) {
      value& v = at(w[i]);
      v.text = w[i + 1];
      v.expires = clock::time_point::max();
    }
    out.append("+OK\r\n");
  }
  void expire(const words& w, std::string& out) {
    const auto seconds = integer(w[2]);
    if (!seconds) return error(out, "value is not an integer or out of range");
    if (*seconds > 1'000'000'000) return error(out, "invalid expire time in 'expire' command");
    value* found = find(w[1]);
    if (found != nullptr) {
      found->expires = clock::now() + std::chrono::seconds{std::max<std::int64_t>(*seconds, 0)};
    }
    number(out, found != nullptr ? 1 : 0);
  }
  void ttl(const words& w, std::string& out) {
    using namespace std::chrono;
    const value* found = find(w[1]);
    if (found == nullptr) return number(out, -2);
    if (found->expires == clock::time_point::max()) return number(out, -1);
    number(out, round<seconds>(found->expires - clock::now()).count());
  }
  void command(const words&, std::string& out) { out.append("*0\r\n"); }
  void config(const words& w, std::string& out) {
    if (!same(w[1], "GET")) return error(out, "unknown subcommand. Try CONFIG HELP.");
    const bool known = w.size() == 3 && (same(w[2], "SAVE") || same(w[2], "APPENDONLY"));
    if (!known) return command(w, out);
    out.append("*2\r\n");
    bulk(out, w[2]);
    bulk(out, same(w[2], "SAVE") ? "" : "no");
  }
  void info(const words&, std::string& out) {
    bulk(out, "# Server\r\nserver_name:fairway kv_server\r\n# Keyspace\r\ndb0:keys=" +
                  std::to_string(values_.size()) + "\r\n");
  }

  std::unordered_map<std::string, value, text_hash, std::equal_to<>> values_;
};

inline const store::entry store::commands[16] = {
    {"GET", 2, 2, &store::get},
    {"SET", 3, any, &store::set},
    {"PING", 1, 2, &store::ping},
    {"INCR", 2, 2, &store::incr},
    {"MSET", 3, any, &store::mset, true},
    {"MGET", 2, any, &store::mget},
    {"DEL", 2, any, &store::del},
    {"EXISTS", 2, any, &store::exists},
    {"ECHO", 2, 2, &store::echo},
    {"EXPIRE", 3, 3, &store::expire},
    {"TTL", 2, 2, &store::ttl},
    {"COMMAND", 1, any, &store::command},
    {"CONFIG", 2, any, &store::config},
    {"INFO", 1, any, &store::info},
    {"QUIT", 1, any, &store::ok},
    {"SELECT", 2, 2, &store::ok},
};

}  // namespace kv
