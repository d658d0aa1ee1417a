/*
 * The virtio bus: finds the devices on PCI and starts their drivers. Called once by kernel/main.c;
 * the drivers' own view of a device is device.h.
 */
#ifndef SKEP_VIRTIO_VIRTIO_H
#define SKEP_VIRTIO_VIRTIO_H

/* Scans PCI and starts a driver on each virtio device it knows. What cannot be used is reported
 * by name and left alone. Boot, main thread. */
void virtio_init(void);

#endif
