/** The entry point `holdfast/dashboard`: a page that shows the connections of a server, and its feed. */

export { Dashboard, type DashboardClient, type DashboardFeed, dashboard } from "./dashboard.ts";
export type {
  ActionMessage,
  ConnectionDetail,
  ConnectionRow,
  EndCount,
  EndedRow,
  FeedMessage,
  FrameRow,
  GroupRow,
  HelloMessage,
  KernelRow,
  LimitRow,
  NextMessage,
  NumberFacts,
  NumberName,
  ResultMessage,
  Sample,
  ServerRow,
  SortColumn,
  TimelineEvent,
  TopicRow,
  UpdateMessage,
  ViewerMessage,
} from "./feed.ts";
export { NUMBER_NAMES, NUMBERS, SORT_COLUMNS } from "./feed.ts";
export type { DashboardOptions, DashboardRequest } from "./options.ts";
