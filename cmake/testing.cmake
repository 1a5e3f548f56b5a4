# fairway_add_tests(layer [SOURCES name...] [WITHOUT_ENGINE name...])
# Builds tests/<layer>/<name>.cpp into one program <layer>_tests. A name in SOURCES becomes one test
# an engine (engine.posting.io_uring, engine.posting.epoll; under Windows engine.posting.iocp), run
# with FAIRWAY_ENGINE set; a name in WITHOUT_ENGINE, for code that never makes a port, runs once.

if(WIN32)
  set(FAIRWAY_TEST_ENGINES iocp)
  # More than the guard time of a case, so that the case says what hangs.
  set(seconds_a_test 300)
else()
  set(FAIRWAY_TEST_ENGINES io_uring epoll)
  set(seconds_a_test 120)
endif()
set(FAIRWAY_TEST_TIMEOUT ${seconds_a_test} CACHE STRING "Seconds after which one test has failed")

function(fairway_add_test name program source engine)
  # The leading slash keeps a.cpp from also selecting the cases of ba.cpp.
  add_test(NAME ${name} COMMAND ${program} "--source-file=*/${source}.cpp")
  string(REGEX REPLACE "\\..*" "" layer ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${FAIRWAY_TEST_TIMEOUT} LABELS "${layer}")
  if(engine)
    set_tests_properties(${name} PROPERTIES
      ENVIRONMENT "FAIRWAY_ENGINE=${engine}" LABELS "${layer};${engine}")
  endif()
endfunction()

function(fairway_add_tests layer)
  cmake_parse_arguments(arg "" "" "SOURCES;WITHOUT_ENGINE" ${ARGN})
  set(program ${layer}_tests)
  add_executable(${program})
  target_link_libraries(${program} PRIVATE test_support)
  target_precompile_headers(${program} REUSE_FROM test_support)
  fairway_warnings(${program})
  foreach(source IN LISTS arg_SOURCES arg_WITHOUT_ENGINE)
    target_sources(${program} PRIVATE ${layer}/${source}.cpp)
  endforeach()
  foreach(source IN LISTS arg_SOURCES)
    foreach(engine IN LISTS FAIRWAY_TEST_ENGINES)
      fairway_add_test(${layer}.${source}.${engine} ${program} ${layer}/${source} ${engine})
    endforeach()
  endforeach()
  foreach(source IN LISTS arg_WITHOUT_ENGINE)
    fairway_add_test(${layer}.${source} ${program} ${layer}/${source} "")
  endforeach()
endfunction()

# fairway_add_fuzzers(source name...): one libFuzzer program a codec, fuzz_<name>. Clang only; run
#   build/fuzz/tests/fuzz_line -max_total_time=600 NEW_CORPUS tests/fuzz/corpus/line
function(fairway_add_fuzzers source)
  foreach(name IN LISTS ARGN)
    add_executable(fuzz_${name} ${source})
    target_compile_definitions(fuzz_${name} PRIVATE FAIRWAY_FUZZ_TARGET="${name}")
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${name} PRIVATE fairway::fairway)
    fairway_warnings(fuzz_${name})
  endforeach()
endfunction()
