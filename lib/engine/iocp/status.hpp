// NTSTATUS values in OVERLAPPED::Internal, for the few who must look at it before its end is told.
// Only the lower half is sure to be written.
#pragma once

#include "engine/iocp/winsock.hpp"

namespace fairway::detail::iocp {

// What Internal is set to before a call: no status of the system. Still there after a call that
// succeeded: nobody below took the OVERLAPPED, and nothing will be posted for it.
inline constexpr unsigned long untouched_status = 0x7badc0de;
inline constexpr unsigned long pending_status = 0x00000103;    // STATUS_PENDING
inline constexpr unsigned long cancelled_status = 0xc0000120;  // STATUS_CANCELLED

inline bool is_error_status(unsigned long status) noexcept { return (status >> 30) == 3; }

// The Winsock number of a status, for an OVERLAPPED that is over.
int error_of_status(unsigned long status) noexcept;

}  // namespace fairway::detail::iocp
