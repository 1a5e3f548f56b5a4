// The part of signals that a platform does: installing and removing the handler of one kind.
//
// `raise_signal` is what the installed handler calls: async-signal-safe, any thread.
#pragma once

namespace fairway::detail {

void raise_signal(unsigned kind) noexcept;

// Both under the registry's lock; `kind` is one bit of signal_kind. Installing may fail: false.
bool install_signal(unsigned kind) noexcept;
void remove_signal(unsigned kind) noexcept;

}  // namespace fairway::detail
