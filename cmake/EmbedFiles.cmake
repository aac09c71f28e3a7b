# Files as bytes of the program. As a module it defines
#   busbar_embed(<target> <name> FILES…)  adds a source to the target that defines
#                                         std::span<const busbar::embedded_file> busbar::<name>()
# (app/embedded_file.hpp). As a script it writes that source, at build time.
if(CMAKE_SCRIPT_MODE_FILE)
  set(bodies "")
  set(rows "")
  set(number 0)
  foreach(file ${FILES})
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],){24})" "\\1\n" bytes "${bytes}")
    get_filename_component(base ${file} NAME)
    string(APPEND bodies "constexpr unsigned char file_${number}[] = {\n${bytes}0};\n")
    string(APPEND rows "    {\"${base}\", {reinterpret_cast<const char*>(file_${number}), "
                       "sizeof file_${number} - 1}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(WRITE ${OUTPUT} "// Made by cmake/EmbedFiles.cmake.
#include \"app/embedded_file.hpp\"

namespace {
${bodies}} // namespace

std::span<const busbar::embedded_file> busbar::${NAME}() {
  static const busbar::embedded_file files[] = {
${rows}  };
  return files;
}
")
  return()
endif()

set(busbar_embed_script ${CMAKE_CURRENT_LIST_FILE})
function(busbar_embed target name)
  set(files ${ARGN})
  list(TRANSFORM files PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DOUTPUT=${output} "-DFILES=${files}" -P ${busbar_embed_script}
    DEPENDS ${files} ${busbar_embed_script}
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
