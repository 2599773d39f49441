/* SPDX-License-Identifier: BSD-3-Clause */
/* What /proc says of one process. Everything in there may be a lie or gone. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-control.h"
#include "events.h"

#define PROCESS_CONTAINER_LEN 64 /* hexadecimal digits */

/*
 * Opens the folder of a process in `proc`, an open /proc. It never becomes that
 * of another process. Returns -1 when there is none.
 */
int process_open(int proc, uint32_t pid);

/* What is known of it without /proc; clears the rest. */
void process_known(const struct ebpftls_newcomer *who,
		   struct ebpftls_process *facts);

/*
 * Adds what its folder says, but for the command line. False, and nothing
 * added, when it is the folder of another process, which has its pid now.
 */
bool process_read(int folder, const struct ebpftls_newcomer *who,
		  struct ebpftls_process *facts);

/* Adds the command line, out of the process's memory: that can take for ever.
 */
void process_read_command(int folder, struct ebpftls_process *facts);

/*
 * Whether it is the folder of the process that began then, and not of another
 * one that has its pid by now.
 */
bool process_began(int folder, uint64_t start, uint32_t *parent);

/* Whether this process is where all processes are seen. */
bool process_sees_all(void);

/*
 * Reads as much of a file in it as there is room for, and puts a 0 behind that.
 * Returns how much it was: of a file that cannot be read, nothing.
 */
size_t process_read_text(int folder, const char *name, char *text, size_t size);

/*
 * The same for texts: of /proc/PID/stat, of cgroup, which is changed, and the
 * `size` bytes of a command line, which are too.
 */
bool process_parse_stat(const char *text, uint32_t *parent, uint64_t *ticks);
void process_parse_cgroups(char *text, struct ebpftls_process *facts);
void process_parse_command(char *text, size_t size);

/*
 * The id of the container whose cgroup has this name of `length` bytes, or
 * NULL. The runtimes write ID, PREFIX-ID.scope or PREFIX:ID; what watches over
 * a container from outside has a cgroup "...conmon-ID" of its own.
 */
const char *process_container_id(const char *name, size_t length);

#endif
