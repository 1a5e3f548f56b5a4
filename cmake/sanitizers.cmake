# FAIRWAY_SANITIZE applies to everything below this directory: a sanitizer that sees only half of a
# program reports nonsense. Every report ends the program, so no test passes with one.

if(FAIRWAY_SANITIZE)
  add_compile_options(
    -fsanitize=${FAIRWAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(FAIRWAY_SANITIZE MATCHES "address" AND FAIRWAY_SANITIZE MATCHES "undefined")
    # Null and too small objects end in a report of the address sanitizer too, and few types here
    # have virtual functions; the three take nearly as long to compile as everything else together.
    add_compile_options(-fno-sanitize=null,object-size,vptr)
  endif()
  add_link_options(-fsanitize=${FAIRWAY_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 20)
    # As GCC says it, and Clang from 20 on.
    foreach(sanitizer address thread)
      if(FAIRWAY_SANITIZE MATCHES "${sanitizer}")
        string(TOUPPER "__SANITIZE_${sanitizer}__=1" definition)
        add_compile_definitions(${definition})
      endif()
    endforeach()
  endif()
  if(FAIRWAY_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio's headers contain a fence in a path that is not used here; GCC warns for each inclusion.
    add_compile_options(-Wno-tsan)
  endif()
endif()
