/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of the pcapng format, and ours where it leaves us some. */
#ifndef EBPFTLS_PCAPNG_H
#define EBPFTLS_PCAPNG_H

enum ebpftls_block_type {
	EBPFTLS_BLOCK_INTERFACE = 1,
	EBPFTLS_BLOCK_OLD_PACKET = 2,
	EBPFTLS_BLOCK_SIMPLE_PACKET = 3,
	EBPFTLS_BLOCK_STATISTICS = 5,
	EBPFTLS_BLOCK_PACKET = 6,
	EBPFTLS_BLOCK_SECRETS = 10,
	EBPFTLS_BLOCK_SECTION = 0x0a0d0d0a,
	EBPFTLS_BLOCK_PROCESS = 0x80000001u, /* Darwin's */
	EBPFTLS_BLOCK_MARK = 0x80eb7f15u,    /* ours: ebpftls-mark.h */
};

/* Of options: some mean different things in different blocks. */
enum ebpftls_option_code {
	EBPFTLS_END_OF_OPTIONS = 0,
	EBPFTLS_COMMENT = 1,
	EBPFTLS_SHB_HARDWARE = 2,
	EBPFTLS_SHB_OS = 3,
	EBPFTLS_SHB_USERAPPL = 4,
	EBPFTLS_IF_NAME = 2,
	EBPFTLS_IF_DESCRIPTION = 3,
	EBPFTLS_IF_TSRESOL = 9,
	EBPFTLS_IF_FILTER = 11,
	EBPFTLS_IF_OS = 12,
	EBPFTLS_EPB_FLAGS = 2,
	EBPFTLS_EPB_DROPCOUNT = 4,
	EBPFTLS_EPB_THREAD = 8,		/* pid and tid */
	EBPFTLS_EPB_PROCESS = 32769,	/* number of a process block */
	EBPFTLS_EPB_TO_PROCESS = 32771, /* the receiver's */
	EBPFTLS_PROCESS_NAME = 2,
	EBPFTLS_ISB_STARTTIME = 2,
	EBPFTLS_ISB_ENDTIME = 3,
	EBPFTLS_ISB_IFRECV = 4,
	EBPFTLS_ISB_IFDROP = 5,
};

#define EBPFTLS_BYTE_ORDER_MAGIC 0x1a2b3c4d
#define EBPFTLS_SECRETS_TLS_LOG	 0x544c534b

#endif
