// Everything of Fairway's engine and net layers in one include.
//
// Convenient for programs; libraries include what they name, which compiles faster.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/clock.hpp>
#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/port_group.hpp>
#include <fairway/engine/signals.hpp>
#include <fairway/engine/timer.hpp>
#include <fairway/io.hpp>
#include <fairway/loopback.hpp>
#include <fairway/net/connect_options.hpp>
#include <fairway/net/connector.hpp>
#include <fairway/net/control.hpp>
#include <fairway/net/control_commands.hpp>
#include <fairway/net/datagram.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/net/listener.hpp>
#include <fairway/net/provider.hpp>
#include <fairway/net/received.hpp>
#include <fairway/net/socket_options.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/net/unconnected_socket.hpp>
#include <fairway/result.hpp>
#include <fairway/task.hpp>
#include <fairway/version.hpp>
