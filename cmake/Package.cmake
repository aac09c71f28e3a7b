# The Debian package: cmake --build build/release --target package makes busbar_<version>_<architecture>.deb.
include(GNUInstallDirs)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_NAME busbar)
set(CPACK_PACKAGE_VENDOR Busbar)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "shapes of a PostgreSQL database, live over HTTP")
set(CPACK_PACKAGE_DESCRIPTION
    "Busbar keeps parts of a PostgreSQL database live in many clients. It reads the\n\
write-ahead log once and serves ElectricSQL's Shape HTTP API.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "Busbar maintainers <maintainers@busbar.invalid>")
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# The libraries are read off the binary; beside them it reads time zones, and its scripts make a user.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "tzdata, passwd")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS postgresql)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(_debian ${PROJECT_SOURCE_DIR}/deploy/debian)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${_debian}/conffiles ${_debian}/postinst ${_debian}/prerm
                                       ${_debian}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)

install(TARGETS busbar RUNTIME DESTINATION bin)
install(FILES ${_debian}/busbar.service DESTINATION /lib/systemd/system)
install(FILES ${_debian}/busbar.env DESTINATION /etc/busbar PERMISSIONS OWNER_READ OWNER_WRITE)
install(FILES README.md ${_debian}/copyright DESTINATION share/doc/busbar)
