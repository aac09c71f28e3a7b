# What every target of ours shares: warnings as errors, sanitizers, ccache and a fast linker.
add_library(busbar_flags INTERFACE)
target_compile_options(busbar_flags INTERFACE -Wall -Wextra -Wpedantic -Werror)
target_include_directories(busbar_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(BUSBAR_SANITIZE)
  target_compile_options(busbar_flags INTERFACE -fsanitize=${BUSBAR_SANITIZE}
                                                -fno-omit-frame-pointer)
  target_link_options(busbar_flags INTERFACE -fsanitize=${BUSBAR_SANITIZE})
  if(BUSBAR_SANITIZE MATCHES "address.*undefined" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # As shared libraries of GCC's they share the symbol that sets where reports go, and UBSan's log_path
    # is without effect: its remarks would be lost in the output of a test's server.
    target_link_options(busbar_flags INTERFACE -static-libubsan -Wl,--exclude-libs,libubsan.a)
  endif()
  # g++ 12 reports false positives in the standard library when it instruments.
  target_compile_options(busbar_flags INTERFACE -Wno-maybe-uninitialized -Wno-tsan)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# busbar_library(name SOURCES…) declares the library of one folder, busbar::name.
function(busbar_library name)
  add_library(busbar_${name} STATIC ${ARGN})
  add_library(busbar::${name} ALIAS busbar_${name})
  target_link_libraries(busbar_${name} PUBLIC busbar_flags)
endfunction()
