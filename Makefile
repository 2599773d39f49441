# Builds libpcap with the ebpftls module, the BPF objects, the agent and the
# tool; runs the tests; installs. Everything made lies under build/.
#
# make			build; V=1 shows the commands
# make CROSS=PREFIX-	build with PREFIX-gcc for its machine: aarch64-linux-gnu-
# make check		all tests, or only TESTS="LAYER LAYER/NAME ..."
# make demo		show what there is
# make scan-file		build/scan-file FILE ...: where it finds TLS secrets
# make install		with PREFIX (default /usr/local) and DESTDIR
# make uninstall	take that back, with the same PREFIX and DESTDIR
# make deb		Debian packages in build/deb, for the running release
# make bench		what it costs beside tcpdump; CASES="NAME ..." for some
# make soak		captures under load for SOAK seconds
# make fuzz		the fuzz targets for FUZZ_TIME seconds each
# make check-faults	let everything fail once that can fail
# make check-vm		the tests in guests, or only those of KERNELS="NAME ..."
# make check-patches	try every patch series on its release's libpcap
# make lint, format	look at the sources; put their layout in order

PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib/$(MULTIARCH)
DESTDIR =
CROSS =
CC = $(CROSS)gcc$(if $(CROSS), --sysroot=$(SYSROOT))
CLANG = clang
BPFTOOL = bpftool
BUILD = build$(if $(CROSS),/$(CROSS:-=))
FUZZ_RUNS = 20000
FUZZ_TIME = 600
SOAK = 1800

# bpftool and ethtool are in /usr/sbin, which users do not always have in PATH.
export PATH := $(PATH):/usr/sbin:/sbin
override BUILD := $(abspath $(BUILD))
AGENT_PATH = $(PREFIX)/libexec/ebpftls/ebpftls-agent
SOCKET_PATH = /run/ebpftls/agent.sock
CACHE_PATH = /var/cache/ebpftls
Q = $(if $(V),,@)
SAY = $(if $(V),@:,@printf '  %-8s %s\n')
MAKEFLAGS += --no-print-directory
# What a machine has that is not this one.
override SYSROOT = $(if $(CROSS),$(BUILD)/sysroot)

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all need clean tests check bench fuzz soak check-faults check-vm \
	check-patches lint format demo \
	scan-file install uninstall deb FORCE

all: library bpf agent tool $(BUILD)/run

# Every rule that runs a tool waits for this, so that all that is missing is
# named at once before anything fails for the lack of it.
need: $(if $(CROSS),$(SYSROOT)/.complete)
	@tools/build/need build

clean:
	rm -rf $(BUILD)

$(BUILD)/run: tools/build/run
	$(Q)install -D $< $@

# --- cross building -------------------------------------------------------

# Debian's tools and pkg-config then speak of that machine, and its packages lie
# in a folder: neither root nor a foreign architecture of dpkg's is needed.
ifneq ($(CROSS),)
$(foreach line,$(shell dpkg-architecture -t$(CROSS:-=) 2>/dev/null), \
    $(eval export $(line)))
export PKG_CONFIG_SYSROOT_DIR := $(SYSROOT)
export PKG_CONFIG_LIBDIR := \
    $(SYSROOT)/usr/lib/$(DEB_HOST_MULTIARCH)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig

$(SYSROOT)/.complete: tools/build/depends /etc/os-release
	@tools/build/need cross-$(DEB_HOST_ARCH)
	$(SAY) FETCH "Debian's libraries for $(DEB_HOST_ARCH)"
	$(Q)tools/build/fetch-root $(SYSROOT) $(DEB_HOST_ARCH) \
	    $$(tools/build/need --libraries build)
	$(Q)touch $@
endif

# --- libpcap --------------------------------------------------------------

PCAP = $(BUILD)/libpcap
MODULE := $(abspath $(wildcard pcap-ebpftls/*.[ch] bpf/events.h))
WARNINGS = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wformat=2 $(if $(WERROR),-Werror)
PATHS = -DEBPFTLS_AGENT_PATH='"$(AGENT_PATH)"' \
	-DEBPFTLS_SOCKET_PATH='"$(SOCKET_PATH)"'
MODULE_CFLAGS = $(WARNINGS) $(PATHS)

.PHONY: library
library: $(BUILD)/lib/libpcap.so.0.8

# A release upgrade changes os-release, and with it what there is to fetch.
$(BUILD)/download/stamp: tools/build/fetch-libpcap /etc/os-release | need
	$(SAY) FETCH "Debian's libpcap"
	$(Q)tools/build/fetch-libpcap $(@D)
	$(Q)touch $@

$(PCAP)/.configured: $(BUILD)/download/stamp $(wildcard patches/*/*.patch) \
    tools/build/unpack-libpcap tools/build/configure-libpcap | need
	$(SAY) PATCH "$(PCAP)"
	$(Q)tools/build/unpack-libpcap $(<D) patches $(PCAP)
	$(SAY) CONFIG "$(PCAP)"
	$(Q)CC='$(CC)' tools/build/configure-libpcap $(PCAP)
	$(Q)touch $@

# What the module is made with apart from its sources.
$(BUILD)/module.flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(MODULE) $(MODULE_CFLAGS) | tools/build/update $@

$(PCAP)/.linked: $(PCAP)/.configured $(BUILD)/module.flags
	$(Q)tools/build/link-module $(PCAP) $(MODULE)
	$(Q)touch $@

# libpcap's own Makefile is asked each time: it knows what there is to do.
# A copy is taken, and put in place at once, as programs may be running on it.
$(BUILD)/lib/libpcap.so.0.8: export MODULE_CFLAGS := $(MODULE_CFLAGS)
$(BUILD)/lib/libpcap.so.0.8: $(PCAP)/.linked FORCE
	$(SAY) LIBPCAP $(PCAP)
	$(Q)$(MAKE) -C $(PCAP) -f $(CURDIR)/tools/build/libpcap.mk \
	    $(if $(V),,-s) MODULE_STAMP=$(BUILD)/module.flags shared
	$(Q)mkdir -p $(@D)
	$(Q)so=$$(readlink $(PCAP)/libpcap.so.0.8) && \
	tools/build/update $(@D)/$$so <$(PCAP)/$$so && \
	ln -sf $$so $@ && ln -sf libpcap.so.0.8 $(@D)/libpcap.so

# --- BPF ------------------------------------------------------------------

BPF_OBJ := $(patsubst bpf/%.c,$(BUILD)/bpf/%.o,$(wildcard bpf/*.bpf.c))
SKEL := $(BPF_OBJ:.bpf.o=.skel.h)
MULTIARCH = $(shell $(CC) -print-multiarch)
MACHINE = $(firstword $(subst -, ,$(MULTIARCH)))
# The names of libbpf's bpf_tracing.h.
BPF_ARCH = $(patsubst powerpc64%,powerpc,$(patsubst s390x,s390,$(patsubst \
	riscv64,riscv,$(patsubst aarch64,arm64,$(patsubst \
	i386,x86,$(patsubst x86_64,x86,$(MACHINE)))))))

.PHONY: bpf
bpf: $(SKEL)

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c | need
	$(SAY) BPF $*
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -mcpu=v2 -O2 -g -Wall -Wextra -Wshadow \
	    $(if $(WERROR),-Werror) -I$(SYSROOT)/usr/include/$(MULTIARCH) \
	    -D__TARGET_ARCH_$(BPF_ARCH) \
	    -MMD -MP -c -o $@ $<

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< >$@.new
	$(Q)mv $@.new $@

# --- agent ----------------------------------------------------------------

# The control protocol is the one thing that the agent and the module share.
AGENT_SRC := $(wildcard tools/agent/*.c) pcap-ebpftls/ebpftls-control.c
AGENT_OBJ := $(AGENT_SRC:%.c=$(BUILD)/agent/%.o)
AGENT_PATHS = $(PATHS) -DEBPFTLS_CACHE_PATH='"$(CACHE_PATH)"'
INCLUDES = -Itools/agent -Ipcap-ebpftls -Ibpf -I$(BUILD)/bpf
AGENT_CFLAGS = $(call hardened,CFLAGS) $(call hardened,CPPFLAGS) -fPIE \
	$(WARNINGS) $(AGENT_PATHS) $(INCLUDES) $(shell pkg-config --cflags $(AGENT_PC))
AGENT_LDFLAGS = $(call hardened,CFLAGS) $(call hardened,LDFLAGS) -pie
AGENT_LIBS = -pthread $(shell pkg-config --libs $(AGENT_PC))
AGENT_PC = libbpf libelf zlib capstone
hardened = $(shell DEB_BUILD_MAINT_OPTIONS=hardening=+all \
	dpkg-buildflags --get $(1))

.PHONY: agent
agent: $(BUILD)/ebpftls-agent

# What the agent is made with apart from its sources.
$(BUILD)/agent.flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(AGENT_SRC) $(WARNINGS) $(AGENT_PATHS) | \
	    tools/build/update $@

$(BUILD)/agent/%.o: %.c $(BUILD)/agent.flags | $(SKEL) need
	$(SAY) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(AGENT_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/ebpftls-agent: $(AGENT_OBJ) $(BUILD)/agent.flags
	$(SAY) LINK $(@F)
	$(Q)$(CC) $(AGENT_LDFLAGS) -o $@ $(AGENT_OBJ) $(AGENT_LIBS)

# --- tool -----------------------------------------------------------------

# It takes the libpcap that is installed with it, unless the environment says
# another. It reads packets and seals as the module does, and the doctor reaches
# the agent by what the module has for it.
TOOL_SRC := $(wildcard tools/ebpftls/*.c) $(patsubst %,pcap-ebpftls/ebpftls-%.c, \
	blocks client control crypto device mark packet quic reader replace seal \
	source spawn table tls write)
TOOL_OBJ := $(TOOL_SRC:%.c=$(BUILD)/tool/%.o)
TOOL_PATHS = $(PATHS) -DEBPFTLS_DOC_PATH='"$(PREFIX)/share/doc/ebpftls"'

.PHONY: tool
tool: $(BUILD)/ebpftls

# What the tool is made with apart from its sources.
$(BUILD)/tool.flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(TOOL_SRC) $(WARNINGS) $(TOOL_PATHS) | \
	    tools/build/update $@

$(BUILD)/tool/%.o: %.c $(PCAP)/.configured $(BUILD)/tool.flags | need
	$(SAY) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(call hardened,CFLAGS) $(call hardened,CPPFLAGS) -fPIE \
	    $(WARNINGS) $(TOOL_PATHS) -I$(PCAP) -Ipcap-ebpftls -Ibpf \
	    -MMD -MP -c -o $@ $<

$(BUILD)/ebpftls: $(TOOL_OBJ) $(BUILD)/tool.flags | $(BUILD)/lib/libpcap.so.0.8
	$(SAY) LINK $(@F)
	$(Q)$(CC) $(AGENT_LDFLAGS) -Wl,--enable-new-dtags,-rpath,$(LIBDIR) \
	    -o $@ $(TOOL_OBJ) -L$(BUILD)/lib -lpcap -lcrypto

# --- tests ----------------------------------------------------------------

# All of the module but the glue, which needs libpcap's inside, the agent, and
# what parses in the tool are archives for the tests, each of which gets what it
# calls. gcc's address and undefined behaviour sanitizers for the unit tests,
# clang's with libFuzzer.
TEST := $(BUILD)/test
TESTED := $(wildcard pcap-ebpftls/ebpftls-*.c tools/agent/*.c) \
	$(patsubst %,tools/ebpftls/%.c,aead bare claims connections conversation \
	dtls ends framing hello inspect keylog lines packet pieces quic records \
	streams suites table terms verdict)
UNIT := $(patsubst tests/%.c,$(TEST)/%,$(wildcard tests/unit/*.c))
FUZZERS := $(patsubst tests/%.c,$(TEST)/%,$(wildcard tests/fuzz/*.c))
TEST_CFLAGS = -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all \
	$(WARNINGS) $(AGENT_PATHS) $(INCLUDES) -Itools/ebpftls -Itests \
	-I$(PCAP)
TEST_LIBS = -Wl,--as-needed -Wl,-rpath,$(BUILD)/lib -L$(BUILD)/lib -lpcap \
	-lcrypto $(AGENT_LIBS)
SANITIZE_unit = -fsanitize=address,undefined
SANITIZE_fuzz = -fsanitize=address,undefined,fuzzer-no-link
CC_unit = $(CC)
CC_fuzz = $(CLANG)

# $(1) is unit or fuzz.
define test_rules
$(TEST)/obj-$(1)/%.o: %.c | $(SKEL) $(BUILD)/lib/libpcap.so.0.8 need
	$$(SAY) CC "$$< ($(1))"
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(TEST_CFLAGS) $$(SANITIZE_$(1)) -MMD -MP -c -o $$@ $$<

$(TEST)/obj-$(1)/tested.a: $(TESTED:%.c=$(TEST)/obj-$(1)/%.o) $(BUILD)/agent.flags
	$$(Q)rm -f $$@
	$$(Q)ar rcs $$@ $$(filter %.o,$$^)

$(TEST)/$(1)/%: $(TEST)/obj-$(1)/tests/$(1)/%.o $(TEST)/obj-$(1)/tested.a
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(SANITIZE_$(1)) $$(FUZZER_$(1)) -o $$@ $$^ $$(TEST_LIBS)
endef
$(eval $(call test_rules,unit))
$(eval $(call test_rules,fuzz))
FUZZER_fuzz = -fsanitize=fuzzer
.SECONDARY:

# An agent's client that prints secrets, for the tests and by hand.
$(TEST)/keytap: $(TEST)/obj-unit/tests/keytap.o $(TEST)/obj-unit/tested.a
	$(Q)$(CC) $(SANITIZE_unit) -o $@ $^ $(TEST_LIBS)

# Holds the kernel with translated filters against the module.
JUDGES := $(patsubst %.c,$(TEST)/obj-unit/%.o,$(wildcard tests/cbpf/*.c))

$(TEST)/cbpf: $(JUDGES) $(TEST)/obj-unit/tested.a
	$(Q)$(CC) $(SANITIZE_unit) -o $@ $^ $(TEST_LIBS)

# Traffic of which the cost is measured: nothing of ours is in it.
$(TEST)/bench-load: tests/bench/load.c | need
	$(SAY) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -g -O2 $(WARNINGS) -o $@ $< -lssl -lcrypto

# What the tests need, but not the tests.
tests:
	@tools/build/need --install build test vm 'cross-arm64?' 'tls?' 'apps?'
	$(Q)$(MAKE) all $(UNIT) $(FUZZERS) $(TEST)/keytap \
	    $(TEST)/cbpf $(TEST)/bench-load

# As the agent's scanner is built, for its time counts.
scan-file: $(BUILD)/scan-file

$(BUILD)/scan-file: $(BUILD)/agent/tests/scan-file.o \
    $(patsubst %.c,$(BUILD)/agent/%.o,$(wildcard tools/agent/scan.c tools/agent/scan-*.c))
	$(SAY) LINK $(@F)
	$(Q)$(CC) $(AGENT_LDFLAGS) -o $@ $^ $(AGENT_LIBS)

check: tests
	$(Q)BUILD=$(BUILD) PREFIX=$(PREFIX) FUZZ_RUNS=$(FUZZ_RUNS) \
	    tests/run $(TESTS)

# Nothing else should run on the machine.
bench:
	@tools/build/need --install build test
	$(Q)$(MAKE) all $(TEST)/bench-load
	$(Q)TOP=$(CURDIR) BUILD=$(BUILD) tests/bench/bench all $(CASES)

soak:
	@tools/build/need --install build test
	$(Q)$(MAKE) all $(TEST)/bench-load
	$(Q)status=0; for test in mixed many stopped full; do \
	    SOAK=$(SOAK) TOP=$(CURDIR) BUILD=$(BUILD) tests/soak/$$test || \
	    status=1; \
	done; exit $$status

fuzz:
	@tools/build/need --install build test
	$(Q)$(MAKE) $(FUZZERS)
	$(Q)BUILD=$(BUILD) tools/build/fuzz $(FUZZ_TIME) $(FUZZERS)

check-vm:
	@tools/build/need --install build test vm
	$(Q)$(MAKE) all $(TEST)/cbpf
	$(Q)TOP=$(CURDIR) BUILD=$(BUILD) tests/vm/end-to-end $(KERNELS)

check-faults:
	@tools/build/need --install build test
	$(Q)$(MAKE) all
	$(Q)BUILD=$(BUILD) FAULTS=all tests/run faults

check-patches:
	@tools/build/need --install build test
	$(Q)BUILD=$(BUILD) tools/build/check-patches $(SUITES)

lint: $(PCAP)/.linked $(SKEL)
	@tools/build/need lint
	$(Q)BUILD=$(BUILD) tools/build/lint

format:
	clang-format -i $(shell find bpf pcap-ebpftls tools tests -name '*.[ch]')

demo:
	@tools/build/need --install build test
	$(Q)$(MAKE) all
	$(Q)BUILD=$(BUILD) TOP=$(CURDIR) tools/demo

# --- installation ---------------------------------------------------------

install: all
	$(Q)BUILD=$(BUILD) PREFIX=$(PREFIX) LIBDIR=$(LIBDIR) DESTDIR=$(DESTDIR) \
	    MULTIARCH=$(MULTIARCH) CACHE_PATH=$(CACHE_PATH) tools/build/install

deb: need
	$(Q)BUILD=$(BUILD) MAKE='$(MAKE)' MULTIARCH=$(MULTIARCH) tools/build/deb

uninstall:
	$(Q)PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) CACHE_PATH=$(CACHE_PATH) \
	    tools/build/uninstall

-include $(shell find $(BUILD)/bpf $(BUILD)/agent $(BUILD)/tool $(BUILD)/test \
	-name '*.d' 2>/dev/null)
