/** The entry point `holdfast/otel`: the metrics for OpenTelemetry, by a meter of the application. */

export {
  type ObservableInstrument,
  type ObservableMeter,
  type ObservableOptions,
  type ObserveCallback,
  observeMetrics,
} from "./instruments.ts";
