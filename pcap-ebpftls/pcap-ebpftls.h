/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prototypes for the ebpftls capture source
 */
int ebpftls_findalldevs(pcap_if_list_t *devlistp, char *err_str);
pcap_t *ebpftls_create(const char *device, char *ebuf, int *is_ours);
