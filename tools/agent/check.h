/* SPDX-License-Identifier: BSD-3-Clause */
/* Says what a capture would get, by doing what it does. */
#ifndef AGENT_CHECK_H
#define AGENT_CHECK_H

#include "capture.h"
#include "failure.h"
#include "owners.h"

/* The parts of a capture. */
#define CHECK_PACKETS	 "packets"
#define CHECK_PROCESSES	 "processes"
#define CHECK_FILTERS	 "filters"
#define CHECK_SECRETS	 "secrets"
#define CHECK_NAMESPACES "namespaces"

/* Sends a finding through `sock`. */
__attribute__((format(printf, 4, 5))) void check_tell(int sock,
						      enum ebpftls_state state,
						      const char *part,
						      const char *format, ...);

/* Sends why a part is not to be had, or not all of it. */
void check_failed(int sock, enum ebpftls_state state, const char *part,
		  const struct failure *failure);

/* The same of packets on one interface among others. */
void check_failed_on(int sock, const char *interface,
		     const struct failure *failure);

/* Says that this was all. */
void check_end(int sock);

/* What was loaded can do. */
void check_owners(int sock, const struct owners *owners);
void check_buffer(int sock, const struct capture *capture);
void check_filters(int sock, const struct capture *capture);

/* Loads and attaches what takes TLS secrets, and takes it down again. */
void check_secrets(int sock);

/* Whether captures in other network namespaces are possible. */
void check_namespaces(int sock);

#endif
