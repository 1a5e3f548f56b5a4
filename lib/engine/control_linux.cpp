#include "engine/control_op.hpp"

#include <cerrno>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace fairway::detail {

int perform_step(native_handle handle, const kernel_step& step) noexcept {
  const int fd = static_cast<int>(handle);
  int result = 0;
  int number = 0;
  auto size = static_cast<socklen_t>(step.bytes);
  switch (step.kind) {
    case kernel_step::what::unread:
      result = ::ioctl(fd, SIOCINQ, &number);
      if (result == 0) result = number;
      break;
    case kernel_step::what::unsent:
      result = ::ioctl(fd, SIOCOUTQ, &number);
      if (result == 0) result = number;
      break;
    case kernel_step::what::get_option:
      result = ::getsockopt(fd, step.level, step.name, step.data, &size);
      if (result == 0) result = static_cast<int>(size);
      break;
    case kernel_step::what::set_option:
      result = ::setsockopt(fd, step.level, step.name, step.data, size);
      break;
    case kernel_step::what::ioctl:
      result = ::ioctl(fd, static_cast<unsigned>(step.name), step.data);
      break;
  }
  if (result >= 0) return result;
  // ioctl(2): the request does not apply to this kind of object.
  return errno == ENOTTY ? -EOPNOTSUPP : -errno;
}

int perform_work(native_handle handle, control_work& work) noexcept {
  int result = work.next(work, handle, 0);
  while (result == control_work::step_more) {
    result = perform_step(handle, work.step);
    if (result >= 0) result = work.next(work, handle, result);
  }
  return result;
}

}  // namespace fairway::detail
