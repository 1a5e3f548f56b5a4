#include <fairway/engine/detail/handle.hpp>

#include "engine/control_op.hpp"
#include "engine/port_core.hpp"

namespace fairway::detail {

void drop_object(io_object* object) noexcept {
  port_core* core = object->core;
  if (core == nullptr) {
    drop_control(*object);
    object->destroy(object);  // the port is gone and took everything else with it
    return;
  }
  if (ownership here{*core}) {
    core->close(*object);
    core->release(*object);
  } else {
    enqueue_hop(*core, &object->release_hop);
  }
}

void cancel_object(io_object* object) {
  port_core* core = object->core;
  if (core == nullptr) return;
  const auto cancel_all = [core, object] {
    for (io_op* op : object->operations()) {
      if (op != nullptr) core->cancel(*op);
    }
  };
  if (ownership here{*core}) {
    cancel_all();
  } else {
    initiation<void>::hop(*core, cancel_all);
  }
}

void close_object(io_object* object) {
  port_core* core = object->core;
  if (core == nullptr) return;
  if (ownership here{*core}) {
    core->close(*object);
  } else {
    initiation<void>::hop(*core, [core, object] { core->close(*object); });
  }
}

}  // namespace fairway::detail
