#include "loopback/windows/section.hpp"

#include "loopback/budget.hpp"
#include "loopback/system.hpp"

#include <windows.h>

#include <algorithm>
#include <bit>

namespace fairway::detail::shm::system {

namespace {

void unmap(void* base, std::size_t bytes) noexcept {
  ::UnmapViewOfFile(base);
  budget::give_back(bytes);
}

path_reason reason_of(DWORD error) noexcept {
  switch (error) {
    case ERROR_ACCESS_DENIED: return path_reason::access_denied;
    case ERROR_ALREADY_EXISTS:
    case ERROR_INVALID_HANDLE: return path_reason::name_taken;  // an object of another kind
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND: return path_reason::peer_did_not_ask;
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_NOT_ENOUGH_QUOTA:
    case ERROR_OUTOFMEMORY: return path_reason::no_memory;
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_TOO_MANY_OPEN_FILES: return path_reason::no_descriptors;
    default: return path_reason::refused_by_system;
  }
}

// The user of this process, and "nobody but this user" as the system wants it.
class owner_only {
 public:
  owner_only() noexcept {
    HANDLE token = nullptr;
    if (::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &token) == FALSE) return;
    DWORD bytes = 0;
    const BOOL got = ::GetTokenInformation(token, TokenUser, user_, sizeof user_, &bytes);
    ::CloseHandle(token);
    if (got == FALSE) return;
    auto* const access = reinterpret_cast<ACL*>(access_);
    usable_ = ::InitializeAcl(access, sizeof access_, ACL_REVISION) != FALSE &&
              ::AddAccessAllowedAce(access, ACL_REVISION, GENERIC_ALL, user()) != FALSE &&
              ::InitializeSecurityDescriptor(&descriptor_, SECURITY_DESCRIPTOR_REVISION) !=
                  FALSE &&
              ::SetSecurityDescriptorOwner(&descriptor_, user(), FALSE) != FALSE &&
              ::SetSecurityDescriptorDacl(&descriptor_, TRUE, access, FALSE) != FALSE;
    attributes_ = {sizeof attributes_, &descriptor_, FALSE};
  }
  owner_only(const owner_only&) = delete;
  owner_only& operator=(const owner_only&) = delete;

  bool usable() const noexcept { return usable_; }
  SECURITY_ATTRIBUTES* attributes() noexcept { return &attributes_; }
  PSID user() noexcept { return reinterpret_cast<TOKEN_USER*>(user_)->User.Sid; }

 private:
  alignas(TOKEN_USER) std::byte user_[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
  alignas(ACL) std::byte access_[sizeof(ACL) + sizeof(ACCESS_ALLOWED_ACE) +
                                 SECURITY_MAX_SID_SIZE];
  SECURITY_DESCRIPTOR descriptor_{};
  SECURITY_ATTRIBUTES attributes_{};
  bool usable_ = false;
};

// One a process: a process does not change its user.
owner_only& of_this_user() noexcept {
  static owner_only made;
  return made;
}

// Who made an object. What has no owner (Wine keeps none but an explicit one) is nobody's.
bool is_ours(HANDLE object) noexcept {
  alignas(SECURITY_DESCRIPTOR) std::byte room[sizeof(SECURITY_DESCRIPTOR) + SECURITY_MAX_SID_SIZE];
  auto* const descriptor = reinterpret_cast<SECURITY_DESCRIPTOR*>(room);
  DWORD bytes = 0;
  if (::GetKernelObjectSecurity(object, OWNER_SECURITY_INFORMATION, descriptor, sizeof room,
                                &bytes) == FALSE) {
    return false;
  }
  PSID owner = nullptr;
  BOOL by_default = FALSE;
  return ::GetSecurityDescriptorOwner(descriptor, &owner, &by_default) != FALSE &&
         owner != nullptr && ::EqualSid(owner, of_this_user().user()) != FALSE;
}

// The bytes of a mapping, if all of it is memory that can be read and written; else 0.
std::size_t size_of(void* base) noexcept {
  MEMORY_BASIC_INFORMATION info{};
  if (::VirtualQuery(base, &info, sizeof info) != sizeof info) return 0;
  const bool plain = info.AllocationBase == base && info.State == MEM_COMMIT &&
                     info.Type == MEM_MAPPED && info.Protect == PAGE_READWRITE;
  return plain ? info.RegionSize : 0;
}

std::shared_ptr<arena> own(void* base, const arena_shape& shape) {
  try {
    return std::make_shared<arena>(base, shape, &unmap);
  } catch (...) {
    unmap(base, shape.total());
    throw;
  }
}

std::shared_ptr<arena> refuse(void* base, std::size_t reserved) noexcept {
  if (base != nullptr) ::UnmapViewOfFile(base);
  budget::give_back(reserved);
  return nullptr;
}

}  // namespace

bool one_processor() noexcept {
  DWORD_PTR mine = 0;
  DWORD_PTR all = 0;
  // Of the system, not of this process: an end that is pinned has its peer elsewhere, as a rule.
  // Zero: there are processors of several groups.
  return ::GetProcessAffinityMask(::GetCurrentProcess(), &mine, &all) != FALSE &&
         std::popcount(static_cast<std::uint64_t>(all)) == 1;
}

unsigned process_number() noexcept { return 0; }  // a process is never copied here

// Under Wine each call that waits asks another process, which costs ten times what Windows takes.
// So the way through a completion port is measured, once; being woken costs a multiple of it.
std::chrono::microseconds wake_cost() noexcept {
  using namespace std::chrono;
  static const microseconds cost = [] {
    constexpr microseconds least{50};
    constexpr microseconds most{250};
    const kernel_handle port{::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1)};
    if (!port) return least;
    auto best = steady_clock::duration::max();
    for (int i = 0; i < 4; ++i) {
      const auto begun = steady_clock::now();
      DWORD bytes = 0;
      ULONG_PTR key = 0;
      OVERLAPPED* overlapped = nullptr;
      ::PostQueuedCompletionStatus(port.get(), 0, 0, nullptr);
      ::GetQueuedCompletionStatus(port.get(), &bytes, &key, &overlapped, 0);
      best = std::min(best, steady_clock::now() - begun);
    }
    return std::clamp(duration_cast<microseconds>(4 * best), least, most);
  }();
  return cost;
}

kernel_handle::~kernel_handle() {
  if (handle_ != nullptr) ::CloseHandle(handle_);
}

section make_section(const std::string& name, const arena_shape& shape, path_reason& why) {
  owner_only& ours = of_this_user();
  if (!ours.usable()) {
    why = path_reason::access_denied;
    return {};
  }
  const std::uint64_t total = shape.total();
  if (!budget::take(total)) {
    why = path_reason::no_memory;
    return {};
  }
  section made;
  made.name = kernel_handle{::CreateFileMappingA(
      INVALID_HANDLE_VALUE, ours.attributes(), PAGE_READWRITE | SEC_COMMIT,
      static_cast<DWORD>(total >> 32), static_cast<DWORD>(total), name.c_str())};
  const DWORD error = ::GetLastError();
  if (!made.name || error == ERROR_ALREADY_EXISTS) {
    why = reason_of(error);
    budget::give_back(total);
    return {};
  }
  void* const base = ::MapViewOfFile(made.name.get(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0);
  if (base == nullptr) {
    why = path_reason::no_memory;
    budget::give_back(total);
    return {};
  }
  made.memory = own(base, shape);
  made.memory->initialise();
  return made;
}

std::shared_ptr<arena> open_section(const std::string& name, path_reason& why) {
  const kernel_handle found{
      ::OpenFileMappingA(FILE_MAP_READ | FILE_MAP_WRITE | READ_CONTROL, FALSE, name.c_str())};
  if (!found) {
    const DWORD error = ::GetLastError();
    why = error == ERROR_ACCESS_DENIED ? path_reason::other_user : reason_of(error);
    return nullptr;
  }
  if (!of_this_user().usable() || !is_ours(found.get())) {
    why = path_reason::other_user;
    return nullptr;
  }
  void* const base = ::MapViewOfFile(found.get(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0);
  if (base == nullptr) {
    why = path_reason::no_memory;
    return nullptr;
  }
  why = path_reason::peer_broke_rules;
  const std::size_t size = size_of(base);
  if (size < sizeof(arena_header)) return refuse(base, 0);
  // Each field once: the peer can change them at any moment.
  const auto* const header = static_cast<const volatile arena_header*>(base);
  const arena_shape shape{header->slots, header->ring_bytes};
  if (header->magic != arena_magic || header->version != protocol_version) {
    why = path_reason::other_version;
    return refuse(base, 0);
  }
  if (!shape.valid() || shape.total() != size) return refuse(base, 0);
  if (!budget::take(size)) {
    why = path_reason::no_memory;
    return refuse(base, 0);
  }
  auto mapped = own(base, shape);
  if (!mapped->matches()) return nullptr;
  return mapped;
}

kernel_handle make_mark(const std::string& name, path_reason& why) noexcept {
  owner_only& ours = of_this_user();
  if (!ours.usable()) {
    why = path_reason::access_denied;
    return {};
  }
  kernel_handle made{::CreateEventA(ours.attributes(), TRUE, FALSE, name.c_str())};
  const DWORD error = ::GetLastError();
  if (made && error != ERROR_ALREADY_EXISTS) return made;
  // Of a name that exists and may not be opened the system says "access denied".
  why = error == ERROR_ACCESS_DENIED ? path_reason::name_taken : reason_of(error);
  return {};
}

bool find_mark(const std::string& name, path_reason& why) noexcept {
  const kernel_handle found{::OpenEventA(READ_CONTROL, FALSE, name.c_str())};
  if (!found) {
    const DWORD error = ::GetLastError();
    why = error == ERROR_ACCESS_DENIED ? path_reason::other_user : reason_of(error);
    return false;
  }
  if (of_this_user().usable() && is_ours(found.get())) return true;
  why = path_reason::other_user;
  return false;
}

}  // namespace fairway::detail::shm::system
