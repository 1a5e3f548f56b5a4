#include <fairway/server/metrics.hpp>

#include <array>
#include <cstdio>
#include <numeric>

namespace fairway {

namespace {

// As the format wants the bounds of buckets to be written: with a point ("Considerations: Canonical
// Numbers"), so that the same bound is the same label everywhere.
std::string bound_text(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  std::string bound = text.data();
  return bound.find('.') == std::string::npos ? bound + ".0" : bound;
}

// Families of the OpenMetrics text format (openmetrics.io, version 1.0): metadata, then samples.
class page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# TYPE ").append(name).append(" ").append(type);
    text_.append("\n# HELP ").append(name).append(" ").append(help).append("\n");
  }
  void sample(std::string_view suffix, const std::string& labels, const std::string& value) {
    text_.append(name_).append(suffix);
    if (!labels.empty()) text_.append("{").append(labels).append("}");
    text_.append(" ").append(value).append("\n");
  }
  void sample(std::string_view suffix, const std::string& labels, std::uint64_t value) {
    sample(suffix, labels, std::to_string(value));
  }
  std::string finish() { return std::move(text_) + "# EOF\n"; }

 private:
  std::string name_;
  std::string text_;
};

std::string label(std::string_view name, std::string_view value) {
  return std::string{name} + "=\"" + std::string{value} + "\"";
}
std::string port_label(std::size_t number_of_port) {
  return label("port", std::to_string(number_of_port));
}

void write_ages(page& out, const std::vector<port_metrics>& ports) {
  out.family("fairway_connection_seconds", "histogram", "Age of connections when they ended.");
  for (std::size_t i = 0; i < ports.size(); ++i) {
    std::uint64_t sum = 0;
    for (std::size_t b = 0; b < ports[i].ages.size(); ++b) {
      sum += ports[i].ages[b];
      const std::string bound = b < port_metrics::age_bounds.size()
                                    ? bound_text(port_metrics::age_bounds[b])
                                    : std::string{"+Inf"};
      out.sample("_bucket", port_label(i) + "," + label("le", bound), sum);
    }
    out.sample("_count", port_label(i), sum);
    std::array<char, 32> seconds{};
    std::snprintf(seconds.data(), seconds.size(), "%.3f",
                  static_cast<double>(ports[i].age_sum_ms) / 1000.0);
    out.sample("_sum", port_label(i), std::string{seconds.data()});
  }
}

}  // namespace

std::uint64_t server_metrics::open() const noexcept {
  std::uint64_t sum = 0;
  for (const port_metrics& each : ports) sum += each.open;
  return sum;
}

std::uint64_t server_metrics::ended(end_reason reason) const noexcept {
  std::uint64_t sum = 0;
  for (const port_metrics& each : ports) sum += each.ended[static_cast<std::size_t>(reason)];
  return sum;
}

std::string server_metrics::text() const {
  page out;
  const auto each_port = [&](std::string_view name, std::string_view type, std::string_view help,
                             auto&& value) {
    out.family(name, type, help);
    for (std::size_t i = 0; i < ports.size(); ++i) {
      out.sample(type == "counter" ? "_total" : "", port_label(i), value(ports[i]));
    }
  };
  using p = port_metrics;
  each_port("fairway_connections", "gauge", "Open connections.",
            [](const p& m) { return m.open; });
  each_port("fairway_connections_idle", "gauge", "Open connections that wait for a request.",
            [](const p& m) { return m.idle; });
  each_port("fairway_accepted", "counter", "Connections taken in.",
            [](const p& m) { return m.accepted; });
  out.family("fairway_refused", "counter", "Connections closed before they began.");
  out.sample("_total", label("cause", "full"), refused_full);
  out.sample("_total", label("cause", "peer"), refused_peer);
  out.sample("_total", label("cause", "draining"), refused_draining);
  out.family("fairway_ended", "counter", "Connections that ended, by reason.");
  for (std::size_t i = 0; i < ports.size(); ++i) {
    for (std::size_t r = 1; r < end_reasons; ++r) {
      out.sample("_total",
                 port_label(i) + "," + label("reason", to_string(static_cast<end_reason>(r))),
                 ports[i].ended[r]);
    }
  }
  each_port("fairway_requests", "counter", "Changes of a connection from idle to busy.",
            [](const p& m) { return m.requests; });
  each_port("fairway_received_bytes", "counter", "Bytes received.",
            [](const p& m) { return m.bytes_in; });
  each_port("fairway_sent_bytes", "counter", "Bytes sent.",
            [](const p& m) { return m.bytes_out; });
  write_ages(out, ports);
  out.family("fairway_accept_pauses", "counter", "Times that accepting waited for a limit.");
  out.sample("_total", "", accept_pauses);
  out.family("fairway_listeners_failed", "counter", "Listeners that an error ended.");
  out.sample("_total", "", listeners_failed);
  each_port("fairway_port_handlers", "counter", "Handlers that the port ran.",
            [](const p& m) { return m.port.handlers_run; });
  each_port("fairway_port_kernel_entries", "counter", "System calls of the port.",
            [](const p& m) { return m.port.kernel_entries; });
  each_port("fairway_port_operations_in_flight", "gauge", "Operations not yet completed.",
            [](const p& m) { return m.port.operations_in_flight; });
  return out.finish();
}

}  // namespace fairway
