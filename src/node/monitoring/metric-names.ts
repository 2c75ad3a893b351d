/** Every metric of a node, with its help text. Labels: `kind`, which comes from our own code. */
export const counters = {
  safe_adult_requests_total: 'Requests to this node as an adult.',
  safe_blamed_total: 'Faults of other nodes.',
  safe_rejected_busy_total: 'Requests refused because the node was busy, by lane.',
  safe_bytes_in_total: 'Bytes of incoming messages and requests.',
  safe_bytes_out_total: 'Bytes of outgoing messages and replies.',
  safe_client_refusals_total: 'Refused requests of clients, by refusal.',
  safe_client_requests_total: 'Requests of clients.',
  safe_data_audits_total: 'Audits of holders, by verdict.',
  safe_data_dropped_total: 'Copies deleted because enough other nodes hold them.',
  safe_data_faults_total: 'Faults of other nodes in replication.',
  safe_data_fetched_bytes_total: 'Bytes of copies fetched from other nodes.',
  safe_data_fetched_total: 'Copies fetched from other nodes, by outcome.',
  safe_http_requests_total: 'HTTP requests at the public port.',
  safe_state_lost_total: 'Detections that this node lost signed state.',
  safe_messages_in_total: 'Incoming messages.',
  safe_messages_out_total: 'Outgoing messages.',
  safe_messages_refused_total: 'Messages of the section protocol that do not decode.',
  safe_outbox_dropped_total: 'Outgoing messages that were not sent, by reason.',
  safe_outbox_failed_total: 'Outgoing messages that no reply confirmed, by reason.',
} as const;

/** Of several nodes in one process the sum is shown, or the maximum where a sum has no meaning. */
export const gauges = {
  safe_client_running: { help: 'Requests of clients in progress.', total: 'sum' },
  safe_client_waiting: { help: 'Requests of clients in the queue.', total: 'sum' },
  safe_connections: { help: 'Open connections.', total: 'sum' },
  safe_data_bytes: { help: 'Bytes of stored chunks.', total: 'sum' },
  safe_data_full_members: { help: 'Members that report a full disk.', total: 'max' },
  safe_data_handoffs: { help: 'Copies offered to their new holders.', total: 'sum' },
  safe_data_items: { help: 'Stored chunks and records.', total: 'sum' },
  safe_data_outbox_peers: { help: 'Peers with replication messages.', total: 'sum' },
  safe_data_outbox_waiting: { help: 'Replication messages in the queue.', total: 'sum' },
  safe_data_missing: { help: 'Copies that this node must still fetch.', total: 'sum' },
  safe_generation: { help: 'Generation of the newest state.', total: 'max' },
  safe_is_elder: { help: '1 for an elder.', total: 'sum' },
  safe_known_nodes: { help: 'Nodes in the address book.', total: 'max' },
  safe_members: { help: 'Members of the section.', total: 'max' },
  safe_outside_running: { help: 'Requests of other peers in progress.', total: 'sum' },
  safe_outside_waiting: { help: 'Requests of other peers in the queue.', total: 'sum' },
  safe_section_outbox_peers: { help: 'Peers with section messages.', total: 'sum' },
  safe_section_outbox_waiting: { help: 'Section messages in the queue.', total: 'sum' },
  safe_system_running: { help: 'Requests of members in progress.', total: 'sum' },
  safe_system_waiting: { help: 'Requests of members in the queue.', total: 'sum' },
} as const;

export type CounterName = keyof typeof counters;
export type GaugeName = keyof typeof gauges;
