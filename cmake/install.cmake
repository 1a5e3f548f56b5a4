# Install and export: find_package(fairway) gives fairway::fairway.

include(CMakePackageConfigHelpers)
set(FAIRWAY_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/fairway")

install(TARGETS fairway EXPORT fairwayTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY include/fairway DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.hpp")
install(EXPORT fairwayTargets NAMESPACE fairway:: DESTINATION "${FAIRWAY_PACKAGE_DIR}")

configure_package_config_file(cmake/config.cmake.in "${PROJECT_BINARY_DIR}/fairwayConfig.cmake"
  INSTALL_DESTINATION "${FAIRWAY_PACKAGE_DIR}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/fairwayConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/fairwayConfig.cmake"
  "${PROJECT_BINARY_DIR}/fairwayConfigVersion.cmake"
  cmake/FindLiburing.cmake
  DESTINATION "${FAIRWAY_PACKAGE_DIR}")
