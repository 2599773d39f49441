# Builds the shared library in a patched and configured libpcap tree.
#
# libpcap's own Makefile knows no dependency on headers; here every object has
# them. From the environment: MODULE_CFLAGS, for the files of our module; as
# an argument: MODULE_STAMP, a file that is newer than the objects when these
# flags or the list of files have changed.

include Makefile

# Debian's build keeps objects for the shared library apart.
LIBRARY_OBJ := $(or $(OBJ_PIC),$(OBJ))
MODULE_C := $(filter %.c,$(EBPFTLS_FILES))
MODULE_OBJ := $(filter $(MODULE_C:.c=.o) $(MODULE_C:.c=_pic.o),$(LIBRARY_OBJ))
CPPFLAGS := $(shell dpkg-buildflags --get CPPFLAGS) -MMD -MP

$(MODULE_OBJ): CPPFLAGS += $(MODULE_CFLAGS)
$(MODULE_OBJ) $(SHAREDLIB): $(MODULE_STAMP)

-include $(LIBRARY_OBJ:.o=.d)
