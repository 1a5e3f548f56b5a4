# fairway_warnings(target): the warnings that our own code is clean with, never passed on to users.

function(fairway_warnings target)
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    target_compile_options(${target} PRIVATE
      -Wall -Wextra -Wpedantic -Wshadow -Woverloaded-virtual -Wold-style-cast)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # GCC 12 follows neither Outcome's nor std::optional's flag through a move, and so takes the
      # destructor of what was never constructed for a use.
      # It also takes a coroutine frame that Asio allocated for one from operator new.
      target_compile_options(${target} PRIVATE
        -Wno-maybe-uninitialized -Wno-mismatched-new-delete)
    endif()
    if(CMAKE_UNITY_BUILD)
      # The names of one source would be shadowed in the next that it is compiled with.
      target_compile_options(${target} PRIVATE -Wno-shadow)
    endif()
    if(FAIRWAY_WERROR)
      target_compile_options(${target} PRIVATE -Werror)
    endif()
  elseif(MSVC)
    target_compile_options(${target} PRIVATE /W4 /permissive-)
  endif()
endfunction()
