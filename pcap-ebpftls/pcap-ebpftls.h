/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prototypes for the ebpftls capture source
 */
int ebpftls_findalldevs(pcap_if_list_t *devlistp, char *err_str);
pcap_t *ebpftls_create(const char *device, char *ebuf, int *is_ours);

/* For pcap.c: the application asks for the descriptor to select() on. */
void ebpftls_selects(pcap_t *p);

/*
 * For gencode.c: the link type for which filters of the handle are compiled.
 * It is the handle's own, but for PKTAP, where filters see the packet behind
 * the header.
 */
int ebpftls_filter_linktype(pcap_t *p);

/*
 * For sf-pcap.c. A savefile of a handle of ours is begun instead of writing a
 * pcap header: 1 when that is done, 0 when the file is to be a pcap file, -1
 * with errno set. The others do nothing for a file that was not begun so, and
 * say that by returning 0, or -1 for a position.
 */
int ebpftls_dump_begin(pcap_t *p, FILE *file, int linktype);
int ebpftls_dump_continues(pcap_t *p, FILE *file, bpf_u_int32 magic);
int ebpftls_dump(FILE *file, const struct pcap_pkthdr *h, const u_char *sp);
int64_t ebpftls_dump_tell(FILE *file);
int ebpftls_dump_flush(FILE *file);
void ebpftls_dump_end(FILE *file);
